//! Events for one client, at its own pace: a page at a time, and never more than that.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use journeyman_event::Event;
use journeyman_journal::{Error, ReadLimit, Subscription};
use tokio::sync::OwnedSemaphorePermit;

use crate::send_budget::{Reservation, SendBudget, weight};

/// What is made for one client at a time, give or take one event.
const PAGE: ReadLimit = ReadLimit {
    events: 500,
    bytes: 128 << 10,
};
/// Bytes of what goes out in one piece.
pub(crate) const PIECE: usize = 64 << 10;

/// A subscription of which only one page is held, and that page's bytes are counted.
pub(crate) struct Feed {
    events: Subscription,
    send_budget: SendBudget,
    /// What was read, until there is room for it.
    taken: Vec<Event>,
    /// Its place among what is not counted.
    permit: Option<OwnedSemaphorePermit>,
    /// The wait for that room: whoever looks at something else in between does not lose its turn.
    holding: Option<Holding>,
}

type Holding = Pin<Box<dyn Future<Output = Option<Reservation>> + Send + Sync>>;

/// Events, and the bytes that they hold.
pub(crate) struct Page {
    pub(crate) events: Vec<Event>,
    pub(crate) held: Arc<Reservation>,
}

impl Feed {
    pub(crate) fn new(events: Subscription, send_budget: &SendBudget) -> Self {
        Self {
            events,
            send_budget: send_budget.clone(),
            taken: Vec::new(),
            permit: None,
            holding: None,
        }
    }

    /// The next events, as soon as there are some and there is room for them. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<Page, Error> {
        while self.taken.is_empty() {
            self.permit = None; // who waits for events reads nothing
            self.events.wait().await?;
            self.permit = self.send_budget.read_permit().await;
            let taken = self.events.take(PAGE).await?;
            self.taken = taken
                .into_iter()
                .map(|e| self.send_budget.share(e))
                .collect();
        }
        let holding = self.holding.get_or_insert_with(|| {
            let (send_budget, bytes) = (
                self.send_budget.clone(),
                self.taken.iter().map(weight).sum(),
            );
            Box::pin(async move { send_budget.reserve(bytes).await })
        });
        let held = holding.await;
        self.holding = None;
        self.permit = None;
        let held = held.ok_or(Error::Closed)?;
        Ok(Page {
            events: std::mem::take(&mut self.taken),
            held: Arc::new(held),
        })
    }
}

/// An event's line without its first sign, after what is to stand before it, in pieces. They are the
/// event's own bytes, not copies, but for the first.
pub(crate) fn pieces(event: &Event, head: &str) -> impl Iterator<Item = Bytes> + use<> {
    struct Line(Event);
    impl AsRef<[u8]> for Line {
        fn as_ref(&self) -> &[u8] {
            self.0.line().as_bytes()
        }
    }
    let line = event.line().as_bytes();
    let cut = line.len().min(PIECE);
    let mut first = Vec::with_capacity(head.len() + cut);
    first.extend_from_slice(head.as_bytes());
    first.extend_from_slice(line.get(1..cut).unwrap_or_default());
    let rest = (cut < line.len()).then(|| Bytes::from_owner(Line(event.clone())));
    let rest = rest.into_iter().flat_map(move |line| {
        let ends = (cut..line.len()).step_by(PIECE);
        ends.map(move |from| line.slice(from..line.len().min(from + PIECE)))
    });
    std::iter::once(Bytes::from(first)).chain(rest)
}
