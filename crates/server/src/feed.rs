//! Feeds events to one client at its own pace, one page at a time.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use journeyman_event::Event;
use journeyman_journal::{Error, ReadLimit, Subscription};
use tokio::sync::OwnedSemaphorePermit;

use crate::send_budget::{Reservation, SendBudget, weight};

/// The most bytes prepared for one client at a time, exceeded by at most one event.
const PAGE: ReadLimit = ReadLimit {
    events: 500,
    bytes: 128 << 10,
};
/// The size in bytes of the pieces sent.
pub(crate) const PIECE: usize = 64 << 10;

/// A subscription that holds only one page of events, whose bytes are counted.
pub(crate) struct Feed {
    events: Subscription,
    send_budget: SendBudget,
    /// Events that were read and wait for room in the budget.
    taken: Vec<Event>,
    /// The permit for events that are not counted yet.
    permit: Option<OwnedSemaphorePermit>,
    /// The pending request for room. It is kept between calls, so that its place is not lost.
    holding: Option<Holding>,
}

type Holding = Pin<Box<dyn Future<Output = Option<Reservation>> + Send + Sync>>;

/// Events with their reservation in the budget.
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

/// An event's line without its first character, after `head`, split into pieces. Apart from the first they
/// refer to the event's own bytes without copying.
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
