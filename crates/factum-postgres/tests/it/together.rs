//! Appends that wait for each other's calls go together, and nobody can tell: each is judged as if
//! it were alone, nobody is held up by one that has to wait, and what is given up stays so.

use crate::support::{all, application, event, ids, open, options, run, stream, to};
use factum_core::{
    Append, AppendError, Change, Check, EventStore, Expected, Position, Query, Read, Receipt,
    Revision, Tag,
};
use factum_postgres::{
    Options, PostgresStore,
    sqlx::{self, AssertSqlSafe, raw_sql},
};
use factum_testkit::within;
use std::{
    collections::BTreeSet,
    future::poll_fn,
    pin::{Pin, pin},
    task::Poll,
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(60);

type Answer = Result<Receipt, AppendError>;

/// Begins all of these before any is answered; their answers, in order.
async fn at_once(store: &PostgresStore, appends: Vec<Append>) -> Vec<Answer> {
    let mut all: Vec<Pin<Box<_>>> =
        appends.into_iter().map(|append| Box::pin(store.append(append))).collect();
    let mut answers: Vec<Option<Answer>> = all.iter().map(|_| None).collect();
    poll_fn(|context| {
        for (future, answer) in all.iter_mut().zip(&mut answers) {
            if answer.is_none()
                && let Poll::Ready(ready) = future.as_mut().poll(context)
            {
                *answer = Some(ready);
            }
        }
        if answers.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    answers.into_iter().flatten().collect()
}

/// To streams of their own.
fn scattered(count: u128) -> Vec<Append> {
    (0..count).map(|nth| to(&format!("s-{nth}"), [nth * 2 + 1, nth * 2 + 2])).collect()
}

fn unless(mut append: Append, tag: &Tag) -> Append {
    let query = Query::tag(tag.clone());
    append.checks.push(Check::NoMatch { query, after: Position::START });
    append
}

/// The calls in which these were written.
fn numbers(answers: &[Answer]) -> BTreeSet<u64> {
    answers.iter().flatten().map(|receipt| receipt.position.0 / 4096).collect()
}

#[test]
fn appends_that_wait_go_together() {
    run(Box::pin(async {
        let store = open(&options()).await;
        let answers = at_once(&store, scattered(100)).await;
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
        assert!(numbers(&answers).len() <= 50, "each went alone");
        // Every receipt says where its events are, and they are there once.
        let stored = all(&store, Read::query(Query::All)).await;
        assert_eq!(ids(&stored).into_iter().collect::<BTreeSet<_>>(), (1..=200).collect());
        for (nth, answer) in answers.into_iter().enumerate() {
            let (receipt, name) = (answer.unwrap(), format!("s-{nth}"));
            let own: Vec<_> =
                stored.iter().filter(|event| event.stream().as_str() == name).collect();
            let last = own.last().unwrap();
            assert_eq!((own.len(), last.position()), (2, receipt.position), "{name}");
            let [written] = receipt.streams.as_slice() else { panic!("one stream") };
            assert_eq!((written.first, written.last), (Revision(0), last.revision()));
        }
    }));
}

/// Among sixty that nothing stands against: what fails, fails alone, with the answer of its own.
#[test]
fn each_is_judged_as_if_it_were_alone() {
    run(Box::pin(async {
        let store = open(&options()).await;
        let tag = Tag::new("taken").unwrap();
        let tagged = Append::to(stream("old-1"), [event(900).with_tags([tag.clone()])]);
        let first = store.append(tagged).await.unwrap();
        store.append(to("gone-1", [901])).await.unwrap();
        store.change(&stream("gone-1"), Change::Tombstone, None).await.unwrap();
        let none = |name: &str, id| to(name, [id]).expecting(stream(name), Expected::NoStream);
        let unlike = unless(to("new-1", [903]), &tag);
        let odd = vec![
            none("old-1", 902),
            unlike,
            to("gone-1", [904]),
            to("old-1", [900]),
            to("old-2", [905]).expecting(stream("old-1"), Expected::At(Revision(0))),
            to("old-3", [906]).expecting(stream("old-1"), Expected::At(Revision(7))),
        ];
        let mut appends = scattered(60);
        appends.splice(30..30, odd);
        let answers = at_once(&store, appends).await;
        assert!(numbers(&answers).len() < 40, "each went alone");
        let odd = &answers[30..36];
        for (nth, conflict) in [(0, true), (1, true), (5, true), (2, false)] {
            let is_conflict = matches!(odd[nth], Err(AppendError::Conflict { index: 0, .. }));
            assert_eq!(is_conflict, conflict, "{nth}: {:?}", odd[nth]);
        }
        assert!(odd[2].is_err(), "{:?}", odd[2]);
        let again = odd[3].as_ref().unwrap();
        assert!(again.replayed && again.position == first.position, "{again:?}");
        assert!(odd[4].is_ok(), "{:?}", odd[4]);
        let stored = ids(&all(&store, Read::query(Query::All)).await);
        let expected: BTreeSet<u128> = (1..=120).chain([900, 901, 905]).collect();
        let known = |id: &u128| *id < 1000;
        assert_eq!(stored.into_iter().filter(known).collect::<BTreeSet<_>>(), expected);
    }));
}

/// Of decisions that would break each other one is made, also where they come at once.
#[test]
fn of_those_that_check_each_other_one_is_written() {
    run(Box::pin(async {
        let store = open(&options()).await;
        for round in 0..10_u128 {
            let tag = Tag::new(&format!("seat-{round}")).unwrap();
            let claims = (0..20).map(|nth| {
                let event = event(round * 100 + nth + 1).with_tags([tag.clone()]);
                let append = Append::to(stream(&format!("claim-{round}x{nth}")), [event]);
                unless(append, &tag)
            });
            // While others are on their way, so that the claims could go together.
            let before =
                (0..4).map(|nth| to(&format!("b-{round}x{nth}"), [round * 100 + nth + 91]));
            let answers = at_once(&store, before.chain(claims).collect()).await;
            let claimed = answers[4..].iter().filter(|answer| answer.is_ok()).count();
            assert_eq!(claimed, 1, "{answers:?}");
            let name = format!("one-{round}");
            let one = (0..20).map(|nth| {
                to(&name, [round * 100 + nth + 51]).expecting(stream(&name), Expected::NoStream)
            });
            let answers = at_once(&store, one.collect()).await;
            assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
        }
    }));
}

/// A call that has its number, and whose transaction is slow, keeps the head back.
#[test]
fn p04_a_call_that_commits_late_is_not_skipped() {
    run(Box::pin(async {
        let options = options();
        let (store, pool, schema) = (open(&options).await, application(), &options.schema);
        let gate = "pg_advisory_xact_lock(77, 1)";
        let sql = format!(
            "CREATE FUNCTION {schema}.stall() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM {gate}; RETURN NEW; END $$;
            CREATE TRIGGER stall BEFORE INSERT ON {schema}.factum_events FOR EACH ROW
            WHEN (NEW.stream = 'slow-1') EXECUTE FUNCTION {schema}.stall()"
        );
        raw_sql(AssertSqlSafe(sql)).execute(&pool).await.unwrap();
        let mut closed = pool.begin().await.unwrap();
        let closing = format!("SELECT {gate}");
        raw_sql(AssertSqlSafe(closing)).execute(&mut *closed).await.unwrap();
        let slow = store.clone();
        let slow = tokio::spawn(async move { slow.append(to("slow-1", [1])).await });
        let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND classid = 77";
        let waits = async || sqlx::query_scalar::<_, i64>(waits).fetch_one(&pool).await.unwrap();
        within(PATIENCE, async { while waits().await == 0 {} })
            .await
            .expect("it comes to the gate");
        store.append(to("fast-1", [2])).await.unwrap();
        assert_eq!(store.head().await.unwrap(), Position::START);
        assert!(all(&store, Read::query(Query::All)).await.is_empty());
        closed.commit().await.unwrap();
        slow.await.unwrap().unwrap();
        assert_eq!(ids(&all(&store, Read::query(Query::All)).await), [1, 2]);
    }));
}

/// How many connections wait for what this one has locked, or for one of those.
async fn waits_for(holder: &mut sqlx::PgConnection) -> i64 {
    let sql = "WITH RECURSIVE behind (pid) AS (SELECT pg_backend_pid() UNION
        SELECT l.pid FROM pg_locks l, behind b
        WHERE NOT l.granted AND b.pid = ANY (pg_blocking_pids(l.pid)))
        SELECT count(*) - 1 FROM behind";
    sqlx::query_scalar(sql).fetch_one(holder).await.unwrap()
}

#[test]
fn who_waits_for_a_lock_holds_nobody_up() {
    run(Box::pin(async {
        let store = open(&options()).await;
        let mut transaction = application().begin().await.unwrap();
        let name = |nth: u128| format!("held-{}", nth % 6);
        for nth in 0..6 {
            store.append_in(&mut transaction, to(&name(nth), [900 + nth])).await.unwrap();
        }
        // More than there are connections to append with: all of those wait at the server.
        let waits: Vec<_> = (0..20)
            .map(|nth| {
                let (store, append) = (store.clone(), to(&name(nth), [910 + nth]));
                tokio::spawn(async move { store.append(append).await })
            })
            .collect();
        let (began, connections) = (Instant::now(), Options::default().write_connections_max);
        while waits_for(&mut transaction).await < i64::try_from(connections).unwrap() {
            assert!(began.elapsed() < PATIENCE, "they do not wait");
        }
        let others = within(PATIENCE, at_once(&store, scattered(60))).await.expect("they go on");
        assert!(others.iter().all(Result::is_ok), "{others:?}");
        transaction.commit().await.unwrap();
        for wait in waits {
            within(PATIENCE, wait).await.expect("it goes on").unwrap().unwrap();
        }
        let held = all(&store, Read::query(Query::category("held"))).await;
        assert_eq!(held.len(), 26);
    }));
}

/// An append that was begun and is not asked for its answer, and others that were given up.
#[test]
fn who_is_not_asked_or_goes_away_holds_nobody_up() {
    run(Box::pin(async {
        let store = open(&options()).await;
        let mut begun = pin!(store.append(to("a-1", [1])));
        let mut waits = Some(Box::pin(store.append(to("a-1", [2]))));
        poll_fn(|context| {
            let is_pending = begun.as_mut().poll(context).is_pending();
            let waits = waits.as_mut().unwrap().as_mut().poll(context).is_pending();
            assert!(is_pending && waits);
            Poll::Ready(())
        })
        .await;
        drop(waits.take());
        within(PATIENCE, store.append(to("a-1", [3]))).await.expect("nobody is held up").unwrap();
        begun.await.unwrap();
        let stored = ids(&all(&store, Read::stream(stream("a-1"))).await);
        assert_eq!((stored.first(), stored.last()), (Some(&1), Some(&3)), "{stored:?}");
    }));
}

#[test]
fn more_than_may_wait_are_refused_and_nothing_else_is() {
    run(Box::pin(async {
        let store = open(&Options { queue_jobs_max: 8, ..options() }).await;
        let answers = at_once(&store, scattered(1000)).await;
        let (done, refused): (Vec<_>, Vec<_>) =
            answers.into_iter().enumerate().partition(|(_, answer)| answer.is_ok());
        let is_overload = |(_, answer): &(usize, Answer)| *answer == Err(AppendError::Overloaded);
        assert!(!refused.is_empty() && refused.iter().all(is_overload), "{refused:?}");
        let stored = ids(&all(&store, Read::query(Query::All)).await);
        assert_eq!(stored.len(), done.len() * 2);
        let counted = store.statistics().await.unwrap().get("overloaded_appends_total");
        assert_eq!(counted, Some(refused.len() as f64));
    }));
}
