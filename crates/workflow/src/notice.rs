//! Notices that the workflow publishes on the bus while it works. Nothing depends on whether there are subscribers.

use std::sync::Arc;

use journeyman_bus::{Emitter, Message};
use journeyman_event::{Event, EventId, TaskState};

/// Sends notices. Their context names the task.
pub type Notices = Emitter<Notice>;

/// Something that others may want to display.
#[derive(Clone, Debug)]
pub enum Notice {
    /// An event was recorded; `state` is the state after it. On the bus, its kind is the event's kind.
    Event {
        /// The recorded event.
        event: Event,
        /// The state after it.
        state: Arc<TaskState>,
    },
    /// A call in progress got its slot and was sent to the model server. On the bus: `asked`.
    Asked {
        /// The id of the event with the call's intent.
        intent: EventId,
    },
    /// The model generated another piece of text, about one token. On the bus: `delta`.
    Delta {
        /// The id of the event with the call's intent.
        intent: EventId,
        /// The piece of text.
        text: String,
    },
    /// Something a person should know about the model server; each is sent once. On the bus: `remark`.
    Remark {
        /// The text of the remark.
        what: String,
    },
    /// Work is waiting for a problem to disappear. On the bus: `waiting`.
    Waiting {
        /// What happened, and what would help.
        what: String,
    },
}

impl Message for Notice {
    fn kind(&self) -> &str {
        match self {
            Self::Event { event, .. } => event.kind(),
            Self::Asked { .. } => "asked",
            Self::Delta { .. } => "delta",
            Self::Remark { .. } => "remark",
            Self::Waiting { .. } => "waiting",
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests {
    use jiff::Timestamp;
    use journeyman_bus::{Bus, Context, Emitted, Kinds, Stamp, SubscriberOptions};
    use journeyman_event::payload::{Limits, LimitsChanged};
    use journeyman_event::{Principal, SeededRandom, SteppedTime, TaskId};
    use journeyman_journal::{Journal, Memory};
    use tokio_util::sync::CancellationToken;
    use uuid::Uuid;

    use super::*;
    use crate::fact::{Fact, Role};
    use crate::recorder::Recorder;

    struct NoStamp;

    impl Stamp for NoStamp {
        fn id(&self) -> Uuid {
            Uuid::nil()
        }

        fn now(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH
        }
    }

    /// A sender of notices without ids and times.
    pub(crate) fn to(bus: Bus<Emitted<Notice>>) -> Notices {
        Notices::new(bus, Arc::new(NoStamp))
    }

    #[tokio::test]
    async fn what_is_recorded_is_told_with_its_state_and_its_task() {
        let journal = Journal::open(Arc::new(Memory::new()), &SeededRandom::new(1)).unwrap();
        let bus = Bus::start();
        let recorder = Recorder {
            journal,
            principal: Principal::local(),
            time: Arc::new(SteppedTime::default()),
            randomness: Arc::new(SeededRandom::new(1)),
            notices: to(bus.clone()),
        };
        let (task, mut state) = (TaskId::new("t-1").unwrap(), TaskState::default());
        let cancel = CancellationToken::new();
        let mut record = async || {
            let limits = Limits::default();
            let facts = vec![Fact::of_task(Role::User, LimitsChanged { limits })];
            let recorded = recorder.record(&task, &mut state, facts, Vec::new(), &cancel);
            recorded.await.unwrap();
        };
        record().await; // nobody listens
        let kinds = Kinds::Exact("limits_changed".to_owned());
        let mut heard = bus
            .subscribe(SubscriberOptions::new("test").kinds(kinds))
            .unwrap();
        let context = Context {
            task_id: Some("t-1".into()),
            ..Context::default()
        };
        context.clone().scope(record()).await;
        let notice = heard.recv().await.unwrap();
        assert_eq!(notice.context, context);
        let Notice::Event { event, state: then } = &notice.message else {
            panic!("{notice:?}");
        };
        assert_eq!((event.sequence().0, then.sequence.0), (2, 2));
        assert_eq!(**then, state);
    }
}
