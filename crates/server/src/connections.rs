//! Limits the number of connections, in total and per foreign address. When the limit is reached, idle connections
//! are closed to make room.
//!
//! Each connection needs a file descriptor, and so does work on tasks. The limit leaves enough descriptors for
//! both, and clients that connect and send nothing cannot keep others out.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// How long an evicted connection may take to close before the next one is evicted.
const EVICTION_TIME: Duration = Duration::from_millis(100);

/// The connection slots of one listener.
#[derive(Debug)]
pub(crate) struct Connections {
    permits: Arc<Semaphore>,
    /// The most connections per foreign address.
    peer_max: usize,
    slots: Mutex<SlotTable>,
}

#[derive(Debug, Default)]
struct SlotTable {
    /// The number of slots in use per foreign address.
    peers: HashMap<IpAddr, usize>,
    /// Connections waiting for a request, the longest idle first.
    idle: BTreeMap<u64, CancellationToken>,
    count: u64,
}

/// The slot of a connection, released when dropped.
#[derive(Debug)]
pub(crate) struct ConnectionSlot {
    of: Arc<Connections>,
    peer: Option<IpAddr>,
    evicted: CancellationToken,
    /// Its position among idle connections.
    idle: Mutex<Option<u64>>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Connections {
    /// Creates slots for `max` connections, half of them for a single foreign address.
    pub(crate) fn new(max: usize) -> Arc<Self> {
        let max = max.max(1);
        Arc::new(Self {
            permits: Arc::new(Semaphore::new(max)),
            peer_max: max.div_ceil(2),
            slots: Mutex::default(),
        })
    }

    fn slots(&self) -> MutexGuard<'_, SlotTable> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Acquires a slot for a connection from this address. If there is none, the longest idle connection is
    /// evicted, and if none is idle, waits. `None` if the address has its maximum. All addresses of this
    /// machine count as one and are only subject to the total limit.
    pub(crate) async fn acquire(
        self: &Arc<Self>,
        address: Option<IpAddr>,
    ) -> Option<ConnectionSlot> {
        let peer = address.map(network).filter(|peer| !peer.is_loopback());
        if let Some(peer) = peer {
            let mut slots = self.slots();
            let count = slots.peers.entry(peer).or_default();
            if *count >= self.peer_max {
                return None;
            }
            *count += 1;
        }
        let mut slot = ConnectionSlot {
            of: Arc::clone(self),
            peer,
            evicted: CancellationToken::new(),
            idle: Mutex::default(),
            permit: None,
        };
        let permit = match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => Some(permit),
            Err(_) => self.wait().await,
        };
        slot.permit = permit;
        Some(slot)
    }

    async fn wait(&self) -> Option<OwnedSemaphorePermit> {
        loop {
            let longest = self.slots().idle.pop_first();
            if let Some((_, longest)) = longest {
                longest.cancel();
            }
            let free = Arc::clone(&self.permits).acquire_owned();
            if let Ok(permit) = tokio::time::timeout(EVICTION_TIME, free).await {
                return permit.ok(); // never closed
            }
        }
    }
}

/// The network that belongs to one client. IPv6 clients are assigned whole networks, which the first 64 bits
/// identify.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            let bits = address.to_bits() >> 64 << 64;
            IpAddr::V6(bits.into())
        }
        address => address,
    }
}

impl ConnectionSlot {
    /// Marks the connection as waiting for a request.
    pub(crate) fn mark_idle(&self) {
        let mut slots = self.of.slots();
        slots.count += 1;
        let number = slots.count;
        slots.idle.insert(number, self.evicted.clone());
        if let Some(before) = self.stands_at().replace(number) {
            slots.idle.remove(&before);
        }
    }

    /// Marks the connection as busy with a request, or as no longer used for HTTP.
    pub(crate) fn mark_busy(&self) {
        let mut slots = self.of.slots();
        if let Some(number) = self.stands_at().take() {
            slots.idle.remove(&number);
        }
    }

    /// Whether the connection is waiting for a request.
    pub(crate) fn is_idle(&self) -> bool {
        self.stands_at().is_some()
    }

    /// Completes when the connection should be closed to make room.
    pub(crate) fn evicted(&self) -> impl Future<Output = ()> + Send + 'static {
        self.evicted.clone().cancelled_owned()
    }

    fn stands_at(&self) -> MutexGuard<'_, Option<u64>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.mark_busy();
        drop(self.permit.take());
        let Some(peer) = self.peer else {
            return;
        };
        let mut slots = self.of.slots();
        if let Some(count) = slots.peers.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                slots.peers.remove(&peer);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn one_foreign_address_has_half_of_the_places_and_this_machine_all() {
        for (first, second, other) in [
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"),
            ("::ffff:192.0.2.7", "192.0.2.7", "192.0.2.8"),
        ] {
            let connections = Connections::new(4);
            let held = [
                connections.acquire(Some(address(first))).await.unwrap(),
                connections.acquire(Some(address(second))).await.unwrap(),
            ];
            assert!(connections.acquire(Some(address(second))).await.is_none());
            let others = connections.acquire(Some(address(other))).await;
            assert!(others.is_some());
            drop(held);
            assert!(connections.acquire(Some(address(first))).await.is_some());
        }
        let connections = Connections::new(4);
        let mut held = Vec::new();
        for from in ["127.0.0.1", "127.0.0.1", "::1", "::1"] {
            held.push(connections.acquire(Some(address(from))).await.unwrap());
        }
        assert_eq!(connections.slots().peers.len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_been_idle_the_longest_gives_way_and_who_is_at_work_does_not() {
        let connections = Connections::new(3);
        let mut slots = Vec::new();
        for _ in 0..3 {
            slots.push(connections.acquire(None).await.unwrap());
        }
        for slot in &slots {
            slot.mark_idle();
        }
        slots[0].mark_busy();
        slots[0].mark_idle(); // the newest of the idle ones
        slots[1].mark_busy();
        let told: Vec<_> = slots.iter().map(ConnectionSlot::evicted).collect();
        let mut next = Box::pin(connections.acquire(None));
        assert!((&mut next).now_or_never().is_none());
        let is_told: Vec<bool> = told
            .into_iter()
            .map(|told| told.now_or_never().is_some())
            .collect();
        assert_eq!(is_told, [false, false, true]);
        drop(slots.pop());
        assert!(next.await.is_some());
    }
}
