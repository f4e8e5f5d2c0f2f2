//! What every queue promises, held against each of them.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use filot::document::{DocumentId, Status, UserId, Verification};
use filot::queue::{Change, Depth, Lane, Lease, Queue, Signal, Then};

use crate::support::{Deployment, eventually};

/// The account of whatever is of no particular one.
const ACCOUNT: UserId = UserId(uuid::Uuid::from_u128(1));
const LEASE: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(300);

struct Rig {
    deployment: Deployment,
    queue: Arc<dyn Queue>,
}

impl Rig {
    async fn on(deployment: Deployment) -> Self {
        let queue = Arc::clone(&deployment.app().await.queue);
        Self { deployment, queue }
    }

    async fn push(&self) -> DocumentId {
        let id = DocumentId::new();
        assert!(self.queue.push(Lane::Cpu, id, ACCOUNT, Duration::ZERO).await.unwrap());
        id
    }

    async fn claim(&self, limit: usize, lease: Duration) -> Vec<Lease> {
        self.queue.claim(Lane::Cpu, "worker", limit, lease).await.unwrap()
    }

    async fn claim_one(&self) -> Lease {
        let mut leases = self.claim(1, LEASE).await;
        assert_eq!(leases.len(), 1);
        leases.remove(0)
    }

    async fn depth(&self) -> Depth {
        self.queue.depth(Lane::Cpu).await.unwrap()
    }
}

macro_rules! contract {
    ($($name:ident)+) => {
        mod table_in_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(&super::Rig::on(super::Deployment::embedded()).await).await;
            })+
        }
        mod table_in_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(&super::Rig::on(super::Deployment::postgres()).await).await;
            })+
        }
        mod redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let deployment = super::Deployment {
                    redis: Some(crate::support::backends::Server::redis()),
                    ..super::Deployment::embedded()
                };
                super::$name(&super::Rig::on(deployment).await).await;
            })+
        }
    };
}

contract! {
    the_longest_waiting_comes_first
    a_document_is_in_only_once
    a_delayed_one_comes_in_its_time
    a_lease_that_ends_goes_to_another_with_a_greater_token
    an_extended_lease_does_not_end
    only_the_holder_of_a_lease_changes_a_job
    a_retry_comes_later_and_counts
    a_release_comes_at_once_and_does_not_count
    the_buried_are_kept_and_can_come_back
    what_is_removed_is_gone
    accounts_go_round
    what_goes_out_of_line_makes_room_for_its_account
    many_claim_each_once
    tokens_grow_even_when_everything_is_lost
    the_gpu_lane_falls_back_when_nobody_serves_it
    lanes_are_separate
    listeners_are_woken
}

async fn the_longest_waiting_comes_first(rig: &Rig) {
    let ids = [rig.push().await, rig.push().await, rig.push().await];
    let claimed: Vec<_> = rig.claim(2, LEASE).await.into_iter().collect();
    assert_eq!(claimed.iter().map(|lease| lease.id).collect::<Vec<_>>(), ids[..2]);
    assert!(claimed.iter().all(|lease| lease.attempt == 1 && lease.token > 0 && lease.lane == Lane::Cpu));
    assert_eq!(rig.depth().await, Depth { ready: 1, leased: 2, ..Depth::default() });
    assert!(rig.queue.complete(&claimed[0]).await.unwrap());
    assert_eq!(rig.claim(5, LEASE).await[0].id, ids[2]);
    assert_eq!(rig.depth().await, Depth { leased: 2, ..Depth::default() });
    assert!(rig.claim(5, LEASE).await.is_empty());
}

async fn a_document_is_in_only_once(rig: &Rig) {
    let id = rig.push().await;
    assert!(!rig.queue.push(Lane::Cpu, id, ACCOUNT, Duration::ZERO).await.unwrap());
    let lease = rig.claim_one().await;
    assert!(!rig.queue.push(Lane::Cpu, id, ACCOUNT, Duration::ZERO).await.unwrap(), "pushed while leased");
    assert!(
        !rig.queue.push(Lane::Gpu, id, ACCOUNT, Duration::ZERO).await.unwrap(),
        "pushed on the other lane"
    );
    assert!(rig.queue.complete(&lease).await.unwrap());
    assert!(
        rig.queue.push(Lane::Cpu, id, ACCOUNT, Duration::ZERO).await.unwrap(),
        "a finished one may come again"
    );
    // Many at once: one of them puts it in.
    let id = DocumentId::new();
    let pushes = (0..20).map(|_| rig.queue.push(Lane::Cpu, id, ACCOUNT, Duration::ZERO));
    let put_in = futures_util::future::join_all(pushes).await;
    assert_eq!(put_in.into_iter().filter(|new| *new.as_ref().unwrap()).count(), 1);
}

async fn a_delayed_one_comes_in_its_time(rig: &Rig) {
    let id = DocumentId::new();
    assert!(rig.queue.push(Lane::Cpu, id, ACCOUNT, SHORT).await.unwrap());
    assert!(rig.claim(1, LEASE).await.is_empty());
    assert_eq!(rig.depth().await, Depth { delayed: 1, ..Depth::default() });
    tokio::time::sleep(SHORT + Duration::from_millis(50)).await;
    assert_eq!(rig.claim_one().await.id, id);
}

async fn a_lease_that_ends_goes_to_another_with_a_greater_token(rig: &Rig) {
    let id = rig.push().await;
    let first = rig.claim(1, SHORT).await.remove(0);
    assert_eq!(rig.queue.reap().await.unwrap(), 0, "the lease has not ended");
    tokio::time::sleep(SHORT + Duration::from_millis(50)).await;
    assert_eq!(rig.queue.reap().await.unwrap(), 1);
    assert_eq!(rig.queue.reap().await.unwrap(), 0);
    let second = rig.claim_one().await;
    assert_eq!((second.id, second.attempt), (id, 2));
    assert!(second.token > first.token);
}

async fn an_extended_lease_does_not_end(rig: &Rig) {
    rig.push().await;
    let lease = rig.claim(1, SHORT).await.remove(0);
    assert!(rig.queue.extend(&lease, LEASE).await.unwrap());
    tokio::time::sleep(SHORT + Duration::from_millis(50)).await;
    assert_eq!(rig.queue.reap().await.unwrap(), 0);
    assert!(rig.queue.complete(&lease).await.unwrap());
}

async fn only_the_holder_of_a_lease_changes_a_job(rig: &Rig) {
    rig.push().await;
    let stale = rig.claim(1, SHORT).await.remove(0);
    tokio::time::sleep(SHORT + Duration::from_millis(50)).await;
    rig.queue.reap().await.unwrap();
    let holder = rig.claim_one().await;
    assert!(!rig.queue.extend(&stale, LEASE).await.unwrap());
    assert!(!rig.queue.complete(&stale).await.unwrap());
    for then in [Then::Release, Then::Retry(SHORT), Then::Bury("worker_crash".into())] {
        assert!(!rig.queue.fail(&stale, then).await.unwrap());
    }
    assert_eq!(rig.depth().await, Depth { leased: 1, ..Depth::default() });
    assert!(rig.queue.complete(&holder).await.unwrap());
    assert!(!rig.queue.complete(&holder).await.unwrap(), "completed twice");
    assert_eq!(rig.depth().await, Depth::default());
}

async fn a_retry_comes_later_and_counts(rig: &Rig) {
    let id = rig.push().await;
    let lease = rig.claim_one().await;
    assert!(rig.queue.fail(&lease, Then::Retry(SHORT)).await.unwrap());
    assert!(rig.claim(1, LEASE).await.is_empty());
    assert!(!rig.queue.push(Lane::Cpu, id, ACCOUNT, Duration::ZERO).await.unwrap(), "pushed while delayed");
    tokio::time::sleep(SHORT + Duration::from_millis(50)).await;
    let again = rig.claim_one().await;
    assert_eq!((again.id, again.attempt), (id, 2));
    assert!(again.token > lease.token);
}

async fn a_release_comes_at_once_and_does_not_count(rig: &Rig) {
    let first = rig.push().await;
    rig.push().await;
    let lease = rig.claim_one().await;
    assert_eq!(lease.id, first);
    assert!(rig.queue.fail(&lease, Then::Release).await.unwrap());
    let again = rig.claim_one().await;
    assert_eq!((again.id, again.attempt), (first, 1), "it keeps its place in line");
    assert!(again.token > lease.token);
}

async fn the_buried_are_kept_and_can_come_back(rig: &Rig) {
    let id = rig.push().await;
    let lease = rig.claim_one().await;
    assert!(rig.queue.fail(&lease, Then::Bury("worker_crash".into())).await.unwrap());
    assert!(rig.claim(1, LEASE).await.is_empty());
    assert_eq!(rig.depth().await, Depth { dead: 1, ..Depth::default() });
    assert_eq!(rig.queue.dead(Lane::Cpu, 10).await.unwrap(), [(id, "worker_crash".to_owned())]);
    assert!(rig.queue.push(Lane::Cpu, id, ACCOUNT, Duration::ZERO).await.unwrap());
    assert_eq!(rig.depth().await.dead, 0, "whoever asks again has taken note");
    let again = rig.claim_one().await;
    assert_eq!((again.id, again.attempt), (id, 1));
}

async fn what_is_removed_is_gone(rig: &Rig) {
    let waiting = rig.push().await;
    rig.queue.remove(waiting).await.unwrap();
    assert!(rig.claim(1, LEASE).await.is_empty());
    rig.push().await;
    let lease = rig.claim_one().await;
    rig.queue.remove(lease.id).await.unwrap();
    assert!(!rig.queue.complete(&lease).await.unwrap());
    assert_eq!(rig.depth().await, Depth::default());
    assert!(rig.queue.push(Lane::Cpu, waiting, ACCOUNT, Duration::ZERO).await.unwrap());
}

/// One account with 1,000 documents does not delay those of others by more than a few readings.
async fn accounts_go_round(rig: &Rig) {
    let (greedy, modest) = (UserId::new(), UserId::new());
    let push = async |account| {
        let id = DocumentId::new();
        assert!(rig.queue.push(Lane::Cpu, id, account, Duration::ZERO).await.unwrap());
        id
    };
    let mut many = Vec::new();
    for _ in 0..1000 {
        many.push(push(greedy).await);
    }
    let taken: Vec<_> = rig.claim(20, LEASE).await.into_iter().map(|lease| lease.id).collect();
    assert_eq!(taken, many[..20]);
    let (first, second, others) = (push(modest).await, push(modest).await, push(UserId::new()).await);
    assert_eq!(rig.depth().await, Depth { ready: 983, leased: 20, ..Depth::default() });
    let next: Vec<_> = rig.claim(7, LEASE).await.into_iter().map(|lease| lease.id).collect();
    let place = |id| next.iter().position(|next| *next == id);
    assert!(place(first) <= Some(2) && place(first).is_some(), "{:?}", place(first));
    assert!(place(others) <= Some(3) && place(others).is_some(), "{:?}", place(others));
    assert!(place(second) <= Some(5) && place(second).is_some(), "{:?}", place(second));
    // What is left of the greedy one's comes in its order, and later documents of others again between them.
    let late = push(modest).await;
    let left: Vec<_> = rig.claim(1000, LEASE).await.into_iter().map(|lease| lease.id).collect();
    assert!(
        left.iter().position(|id| *id == late) <= Some(2),
        "{:?}",
        left.iter().position(|id| *id == late)
    );
    let rest: Vec<_> = left.into_iter().filter(|id| *id != late).collect();
    assert_eq!(rest, many[24..]);
}

async fn what_goes_out_of_line_makes_room_for_its_account(rig: &Rig) {
    let account = UserId::new();
    let ids = [DocumentId::new(), DocumentId::new(), DocumentId::new(), DocumentId::new()];
    for id in ids {
        assert!(rig.queue.push(Lane::Cpu, id, account, Duration::ZERO).await.unwrap());
    }
    rig.queue.remove(ids[0]).await.unwrap();
    rig.queue.remove(ids[2]).await.unwrap();
    let lease = rig.claim_one().await;
    assert_eq!(lease.id, ids[1]);
    assert!(rig.queue.fail(&lease, Then::Release).await.unwrap());
    let both: Vec<_> = rig.claim(5, LEASE).await.into_iter().map(|lease| lease.id).collect();
    assert_eq!(both, [ids[1], ids[3]]);
    let id = DocumentId::new();
    assert!(rig.queue.push(Lane::Cpu, id, account, Duration::ZERO).await.unwrap());
    assert_eq!(rig.claim_one().await.id, id);
}

async fn many_claim_each_once(rig: &Rig) {
    let mut pushed = HashSet::new();
    for _ in 0..200 {
        pushed.insert(rig.push().await);
    }
    let claimers = (0..4).map(|n| {
        let queue = Arc::clone(&rig.queue);
        tokio::spawn(async move {
            let mut mine = Vec::new();
            loop {
                let leases = queue.claim(Lane::Cpu, &format!("worker-{n}"), 3, LEASE).await.unwrap();
                if leases.is_empty() {
                    return mine;
                }
                for lease in leases {
                    mine.push(lease.id);
                    assert!(queue.complete(&lease).await.unwrap());
                }
            }
        })
    });
    let claimed: Vec<_> =
        futures_util::future::join_all(claimers).await.into_iter().flat_map(|mine| mine.unwrap()).collect();
    assert_eq!(claimed.len(), pushed.len(), "one was claimed twice, or not at all");
    assert_eq!(claimed.into_iter().collect::<HashSet<_>>(), pushed);
}

async fn tokens_grow_even_when_everything_is_lost(rig: &Rig) {
    let id = rig.push().await;
    let before = rig.claim_one().await;
    match &rig.deployment.redis {
        Some(redis) => {
            let client = ::redis::Client::open(redis.url()).unwrap();
            let mut connection = client.get_multiplexed_async_connection().await.unwrap();
            ::redis::cmd("FLUSHALL").query_async::<()>(&mut connection).await.unwrap();
        }
        None => rig.queue.remove(id).await.unwrap(),
    }
    assert!(!rig.queue.extend(&before, LEASE).await.unwrap());
    assert!(rig.queue.push(Lane::Cpu, id, ACCOUNT, Duration::ZERO).await.unwrap());
    assert!(rig.claim_one().await.token > before.token);
}

async fn the_gpu_lane_falls_back_when_nobody_serves_it(rig: &Rig) {
    // A reader of the lane is there: nothing moves.
    assert!(rig.queue.claim(Lane::Gpu, "gpu", 1, LEASE).await.unwrap().is_empty());
    let id = DocumentId::new();
    assert!(rig.queue.push(Lane::Gpu, id, ACCOUNT, Duration::ZERO).await.unwrap());
    assert_eq!(rig.queue.fall_back(Duration::from_secs(60)).await.unwrap(), 0);
    assert!(rig.claim(1, LEASE).await.is_empty());
    // It is gone for a while.
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(rig.queue.fall_back(SHORT).await.unwrap(), 1);
    assert_eq!(rig.claim_one().await.id, id);
    assert_eq!(rig.queue.depth(Lane::Gpu).await.unwrap(), Depth::default());
}

async fn lanes_are_separate(rig: &Rig) {
    let cpu = rig.push().await;
    let gpu = DocumentId::new();
    rig.queue.push(Lane::Gpu, gpu, ACCOUNT, Duration::ZERO).await.unwrap();
    let leases = rig.queue.claim(Lane::Gpu, "gpu", 9, LEASE).await.unwrap();
    assert_eq!(leases.iter().map(|lease| lease.id).collect::<Vec<_>>(), [gpu]);
    assert_eq!(rig.claim_one().await.id, cpu);
    assert!(rig.queue.complete(&leases[0]).await.unwrap());
}

async fn listeners_are_woken(rig: &Rig) {
    let mut signals = rig.queue.signals();
    let change = Change {
        document_id: DocumentId::new(),
        status: Status::Completed,
        verification_status: Verification::AutoApproved,
        generation: 1,
    };
    // A listener needs a moment to subscribe at a server.
    let mut heard = HashSet::new();
    eventually("both signals", Duration::from_secs(60), || {
        let (queue, change) = (Arc::clone(&rig.queue), change.clone());
        while let Ok(signal) = signals.try_recv() {
            match signal {
                Signal::Work(Lane::Cpu) => drop(heard.insert("work")),
                Signal::Changed(got) if got == change => drop(heard.insert("change")),
                _ => {}
            }
        }
        let done = heard.len() == 2;
        async move {
            queue.announce(&change).await.unwrap();
            queue.push(Lane::Cpu, DocumentId::new(), ACCOUNT, Duration::ZERO).await.unwrap();
            done
        }
    })
    .await;
}
