//! Who may be connected: a bounded number in all and of one foreign address, and where there is no room,
//! those that are idle give way.
//!
//! A connection that is taken needs a descriptor, and so does everything that is done for tasks. The bound
//! leaves enough for them, and a client that connects and says nothing keeps nobody out.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// How long one that gives way has for it before the next one is asked.
const GIVING_WAY: Duration = Duration::from_millis(100);

/// The places of one listener.
#[derive(Debug)]
pub(crate) struct Connections {
    places: Arc<Semaphore>,
    /// Of one foreign address.
    peer_max: usize,
    seated: Mutex<Seated>,
}

#[derive(Debug, Default)]
struct Seated {
    /// Foreign addresses, and how many places each has.
    peers: HashMap<IpAddr, usize>,
    /// Those that wait for a request, the one that has waited the longest first.
    idle: BTreeMap<u64, CancellationToken>,
    count: u64,
}

/// The place of one connection, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    of: Arc<Connections>,
    peer: Option<IpAddr>,
    gives_way: CancellationToken,
    /// Where it stands among the idle ones.
    idle: Mutex<Option<u64>>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Connections {
    /// So many at a time; of one foreign address half of them.
    pub(crate) fn new(max: usize) -> Arc<Self> {
        let max = max.max(1);
        Arc::new(Self {
            places: Arc::new(Semaphore::new(max)),
            peer_max: max.div_ceil(2),
            seated: Mutex::default(),
        })
    }

    fn seated(&self) -> MutexGuard<'_, Seated> {
        self.seated.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a connection from this address a place. Where there is none, whoever has been idle for the
    /// longest gives way, and where nobody is idle, it waits. None if the address has as many as one may:
    /// those of this machine are all one address, and are bounded together only.
    pub(crate) async fn enter(self: &Arc<Self>, address: Option<IpAddr>) -> Option<Place> {
        let peer = address.map(network).filter(|peer| !peer.is_loopback());
        if let Some(peer) = peer {
            let mut seated = self.seated();
            let count = seated.peers.entry(peer).or_default();
            if *count >= self.peer_max {
                return None;
            }
            *count += 1;
        }
        let mut place = Place {
            of: Arc::clone(self),
            peer,
            gives_way: CancellationToken::new(),
            idle: Mutex::default(),
            permit: None,
        };
        let permit = match Arc::clone(&self.places).try_acquire_owned() {
            Ok(permit) => Some(permit),
            Err(_) => self.wait().await,
        };
        place.permit = permit;
        Some(place)
    }

    async fn wait(&self) -> Option<OwnedSemaphorePermit> {
        loop {
            let longest = self.seated().idle.pop_first();
            if let Some((_, longest)) = longest {
                longest.cancel();
            }
            let free = Arc::clone(&self.places).acquire_owned();
            if let Ok(permit) = tokio::time::timeout(GIVING_WAY, free).await {
                return permit.ok(); // never closed
            }
        }
    }
}

/// What one client has as its own: of version 6 whole networks are given out, and 64 bits name one.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            let bits = address.to_bits() >> 64 << 64;
            IpAddr::V6(bits.into())
        }
        address => address,
    }
}

impl Place {
    /// It waits for a request.
    pub(crate) fn rests(&self) {
        let mut seated = self.of.seated();
        seated.count += 1;
        let number = seated.count;
        seated.idle.insert(number, self.gives_way.clone());
        if let Some(before) = self.stands_at().replace(number) {
            seated.idle.remove(&before);
        }
    }

    /// A request is being answered, or it is none of HTTP any more.
    pub(crate) fn works(&self) {
        let mut seated = self.of.seated();
        if let Some(number) = self.stands_at().take() {
            seated.idle.remove(&number);
        }
    }

    /// Whether it waits for a request.
    pub(crate) fn is_idle(&self) -> bool {
        self.stands_at().is_some()
    }

    /// Becomes ready when it is to give way to another one.
    pub(crate) fn gives_way(&self) -> impl Future<Output = ()> + Send + 'static {
        self.gives_way.clone().cancelled_owned()
    }

    fn stands_at(&self) -> MutexGuard<'_, Option<u64>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.works();
        drop(self.permit.take());
        let Some(peer) = self.peer else {
            return;
        };
        let mut seated = self.of.seated();
        if let Some(count) = seated.peers.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                seated.peers.remove(&peer);
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
                connections.enter(Some(address(first))).await.unwrap(),
                connections.enter(Some(address(second))).await.unwrap(),
            ];
            assert!(connections.enter(Some(address(second))).await.is_none());
            let others = connections.enter(Some(address(other))).await;
            assert!(others.is_some());
            drop(held);
            assert!(connections.enter(Some(address(first))).await.is_some());
        }
        let connections = Connections::new(4);
        let mut held = Vec::new();
        for from in ["127.0.0.1", "127.0.0.1", "::1", "::1"] {
            held.push(connections.enter(Some(address(from))).await.unwrap());
        }
        assert_eq!(connections.seated().peers.len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_been_idle_the_longest_gives_way_and_who_is_at_work_does_not() {
        let connections = Connections::new(3);
        let mut places = Vec::new();
        for _ in 0..3 {
            places.push(connections.enter(None).await.unwrap());
        }
        for place in &places {
            place.rests();
        }
        places[0].works();
        places[0].rests(); // the newest of the idle ones
        places[1].works();
        let told: Vec<_> = places.iter().map(Place::gives_way).collect();
        let mut next = Box::pin(connections.enter(None));
        assert!((&mut next).now_or_never().is_none());
        let is_told: Vec<bool> = told
            .into_iter()
            .map(|told| told.now_or_never().is_some())
            .collect();
        assert_eq!(is_told, [false, false, true]);
        drop(places.pop());
        assert!(next.await.is_some());
    }
}
