//! What the workflow tells of its work while it works, for whoever is on the bus. Nothing depends on
//! whether anyone is.

use std::sync::Arc;

use journeyman_bus::{Emitter, Message};
use journeyman_event::{Event, EventId, TaskState};

/// Sends notices; their context names the task.
pub type Notices = Emitter<Notice>;

/// Something that others may want to show.
#[derive(Clone, Debug)]
pub enum Notice {
    /// An event was recorded, and this is the state after it. On the bus its kind is the event's.
    Event {
        /// The event.
        event: Event,
        /// The state.
        state: Arc<TaskState>,
    },
    /// The model server is asked: a call under way has got its place there. On the bus: `asked`.
    Asked {
        /// The call's intent.
        intent: EventId,
    },
    /// The model said something more: about one token. On the bus: `delta`.
    Delta {
        /// The intent of the call that it answers.
        intent: EventId,
        /// The text.
        text: String,
    },
    /// Something that a person should know of the model server, said once. On the bus: `remark`.
    Remark {
        /// What.
        what: String,
    },
    /// Work waits for something to get better. On the bus: `waiting`.
    Waiting {
        /// What happened and what would help.
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

    /// Notices without ids and times.
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
