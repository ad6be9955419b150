//! Stateless search over everything that may happen to the requests of some actors.
//!
//! A run is a list of decisions: whose request is next, and what becomes of it. The search is depth
//! first; each run repeats the decisions of another one up to a point and takes the next one there.
//! All that an actor does follows from the replies that it got. So the objects on the remote, the
//! deletions under way and the replies that each actor got make up the whole state, and a run that
//! comes to a state that was seen before, with no more leeway than then, ends there.
//!
//! A request that commutes with whatever others may do, such as reading a record that is there, is
//! not held up: it happens at once, and only what may become of it is tried.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use mv_store::{Error, Fault};
use mv_tests::Random;
use mv_tests::memory_transport::{Memory, Op, Reply};

use super::judge::Judge;
use super::scenario::Scenario;
use super::stage::{Cue, Doing, Ending, Stage, digest};

/// How far the search goes. Going on with the actor that just moved is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Bounds {
    /// Times that an actor is stopped for another although it could go on.
    pub(super) preemptions: usize,
    /// Requests that fail, replies that are lost, listings that lag, processes that are killed.
    pub(super) faults: usize,
    /// Requests that take effect some time after their caller was told something.
    pub(super) late: usize,
    /// Runs, at most; for the nightly ones.
    pub(super) runs: u64,
}

impl Bounds {
    pub(super) const ALL: usize = usize::MAX;

    pub(super) fn new(preemptions: usize, faults: usize, late: usize) -> Bounds {
        Bounds { preemptions, faults, late, runs: u64::MAX }
    }
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Fate {
    /// It happens, and its caller hears so.
    Done,
    /// It happens, and its caller hears of a failure.
    ReplyLost,
    /// It happens and may not survive a power cut.
    NotDurable,
    /// Nothing happens; its caller hears of a failure.
    Failed,
    /// A listing as it was so many changes ago.
    Stale(usize),
    /// Its caller hears that it happened, and it happens later.
    Later,
    /// Its caller hears of a failure, and it happens later.
    FailedLater,
    /// The caller dies before it.
    KilledBefore,
    /// The caller dies after it.
    KilledAfter,
}

impl Fate {
    fn happens(self) -> bool {
        use Fate::{Done, KilledAfter, NotDurable, ReplyLost};
        matches!(self, Done | ReplyLost | NotDurable | KilledAfter)
    }

    fn is_late(self) -> bool {
        matches!(self, Fate::Later | Fate::FailedLater)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Choice {
    /// An actor's request is next.
    Actor(usize, Fate),
    /// What was to happen later happens now.
    Lands(usize),
}

/// Leeway that is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Left {
    preemptions: usize,
    faults: usize,
    late: usize,
}

impl Left {
    fn covers(&self, other: &Left) -> bool {
        self.preemptions >= other.preemptions
            && self.faults >= other.faults
            && self.late >= other.late
    }
}

/// What a search found.
#[derive(Clone, Debug, Default)]
pub(super) struct Report {
    pub(super) runs: u64,
    /// Runs that went to their end; the others came to a state that was seen before.
    pub(super) whole: u64,
    pub(super) states: usize,
    pub(super) steps: u64,
    /// Requests of the longest run.
    pub(super) longest: usize,
    /// The first run that went wrong, and how.
    pub(super) broken: Option<Broken>,
}

/// A run that went wrong.
#[derive(Clone, Debug)]
pub(super) struct Broken {
    pub(super) what: String,
    pub(super) schedule: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { runs, whole, states, steps, longest, .. } = self;
        write!(
            f,
            "{runs} schedules ({whole} to their end), {states} states, {steps} requests, at most {longest} in one"
        )?;
        if let Some(broken) = &self.broken {
            write!(f, "\n{} after {} steps:", broken.what, broken.schedule.len())?;
            for step in &broken.schedule {
                write!(f, "\n  {step}")?;
            }
        }
        Ok(())
    }
}

/// Goes through every run within the bounds.
pub(super) fn explore(scenario: &Scenario, bounds: &Bounds) -> Report {
    let mut search = Search::new(scenario, bounds);
    let mut path: Vec<(usize, usize)> = Vec::new();
    loop {
        search.run(&mut Pick::Next(&mut path));
        if search.report.broken.is_some() || search.report.runs >= bounds.runs {
            return search.finish();
        }
        loop {
            match path.pop() {
                Some((taken, of)) if taken + 1 < of => {
                    path.push((taken + 1, of));
                    break;
                }
                Some(_) => {}
                None => return search.finish(),
            }
        }
    }
}

/// Goes through some runs at random: those of the first seeds.
///
/// As in PCT, actors have priorities, and at a few places that are drawn before the run the one that
/// is about to move gets the lowest: few turns of events are more likely to show a bug than many.
pub(super) fn sample(scenario: &Scenario, bounds: &Bounds) -> Report {
    let mut search = Search::new(scenario, bounds);
    search.seen = None;
    for seed in 0..bounds.runs {
        let mut random = Random::new(seed);
        let steps = search.report.longest.max(40);
        let mut priorities: Vec<u64> =
            scenario.actors.iter().map(|_| random.number() >> 8 | 1 << 60).collect();
        priorities.push(random.number() >> 8 | 1 << 60);
        let turns = (0..bounds.preemptions.min(8)).map(|_| random.below(steps)).collect();
        let faults = (0..bounds.faults + bounds.late).map(|_| random.below(steps)).collect();
        search.run(&mut Pick::Random(Dice { random, priorities, turns, faults, step: 0 }));
        if search.report.broken.is_some() {
            break;
        }
    }
    search.finish()
}

/// Who decides.
enum Pick<'a> {
    /// The path so far, with the number of choices at each step; then the first choice.
    Next(&'a mut Vec<(usize, usize)>),
    Random(Dice),
}

struct Dice {
    random: Random,
    /// Of each actor; the last is that of what happens later.
    priorities: Vec<u64>,
    turns: Vec<usize>,
    faults: Vec<usize>,
    step: usize,
}

impl Dice {
    fn pick(&mut self, choices: &[Choice]) -> usize {
        self.step += 1;
        let last = self.priorities.len() - 1;
        let who = |choice: &Choice| match choice {
            Choice::Actor(seat, _) => *seat,
            Choice::Lands(_) => last,
        };
        let first = |dice: &Dice| choices.iter().map(who).max_by_key(|w| dice.priorities[*w]);
        let mut next = first(self).unwrap();
        if self.turns.contains(&self.step) {
            self.priorities[next] = (self.turns.len() - self.step.min(self.turns.len())) as u64;
            self.priorities[next] += self.random.number() >> 40;
            next = first(self).unwrap();
        }
        let plain = |c: &Choice| matches!(c, Choice::Actor(_, Fate::Done) | Choice::Lands(_));
        let faulty = self.faults.contains(&self.step);
        let of = |fault: bool| -> Vec<usize> {
            let fits = |at: &usize| who(&choices[*at]) == next && plain(&choices[*at]) != fault;
            (0..choices.len()).filter(fits).collect()
        };
        let mut among = of(faulty);
        if among.is_empty() {
            among = of(false);
        }
        *self.random.pick(&among)
    }
}

struct Search<'a> {
    scenario: &'a Scenario,
    bounds: &'a Bounds,
    stage: Stage,
    judge: Judge<'a>,
    collects: bool,
    /// The leeway with which a state was seen. None: every run goes to its end.
    seen: Option<HashMap<u64, Vec<Left>>>,
    report: Report,
}

/// One run under way.
struct Run {
    memory: Arc<Memory>,
    /// What each actor has heard so far, as a hash.
    heard: Vec<u64>,
    tries: Vec<usize>,
    /// Whether something went wrong for it in this try.
    disturbed: Vec<bool>,
    endings: Vec<Option<Ending>>,
    last: Option<usize>,
    left: Left,
    /// What happens later.
    later: Vec<Op>,
    /// Each listing as it was, oldest first.
    listings: BTreeMap<String, Vec<Vec<String>>>,
    schedule: Vec<String>,
}

impl<'a> Search<'a> {
    fn new(scenario: &'a Scenario, bounds: &'a Bounds) -> Search<'a> {
        Search {
            scenario,
            bounds,
            stage: Stage::new(scenario.actors.len()),
            judge: Judge::new(scenario),
            collects: scenario.collects(),
            seen: Some(HashMap::new()),
            report: Report::default(),
        }
    }

    fn finish(mut self) -> Report {
        self.report.states = self.seen.map_or(0, |seen| seen.len());
        self.report
    }

    /// Runs once; the outcome is in the report.
    fn run(&mut self, pick: &mut Pick<'_>) {
        let actors = self.scenario.actors.len();
        let memory = Arc::new(self.scenario.memory.clone());
        let Bounds { preemptions, faults, late, .. } = *self.bounds;
        let mut run = Run {
            memory,
            heard: vec![0; actors],
            tries: vec![0; actors],
            disturbed: vec![false; actors],
            endings: (0..actors).map(|_| None).collect(),
            last: None,
            left: Left { preemptions, faults, late },
            later: Vec::new(),
            listings: BTreeMap::new(),
            schedule: Vec::new(),
        };
        self.report.runs += 1;
        self.judge.begin();
        for seat in 0..actors {
            self.scenario.reset(seat);
            self.enter(&mut run, seat);
        }
        let outcome = self.steps(&mut run, pick);
        self.stage.curtain();
        self.report.steps += run.schedule.len() as u64;
        self.report.longest = self.report.longest.max(run.schedule.len());
        let outcome = match outcome {
            Ok(true) => {
                self.report.whole += 1;
                self.end(&run)
            }
            other => other.map(drop),
        };
        if let Err(what) = outcome {
            self.report.broken = Some(Broken { what, schedule: run.schedule });
        }
    }

    /// An actor begins its part, or begins it again.
    fn enter(&self, run: &mut Run, seat: usize) {
        run.tries[seat] += 1;
        run.disturbed[seat] = false;
        run.endings[seat] = None;
        let door = self.stage.door(seat, &run.memory, false);
        self.stage.begin(seat, self.scenario.part(seat, run.tries[seat], door));
    }

    /// Makes steps until all is done (`true`) or the state was seen before.
    fn steps(&mut self, run: &mut Run, pick: &mut Pick<'_>) -> Result<bool, String> {
        let mut at = 0;
        loop {
            let choices = self.choices(run)?;
            if choices.is_empty() {
                return Ok(true);
            }
            let taken = match pick {
                Pick::Random(dice) => dice.pick(&choices),
                Pick::Next(path) => match path.get(at) {
                    Some((taken, of)) => {
                        let same = *of == choices.len();
                        assert!(same, "not repeatable: {:?}", run.schedule);
                        *taken
                    }
                    None => {
                        if self.is_known(run) {
                            return Ok(false);
                        }
                        path.push((0, choices.len()));
                        0
                    }
                },
            };
            at += 1;
            self.step(run, choices[taken])?;
        }
    }

    fn is_known(&mut self, run: &Run) -> bool {
        let Some(seen) = &mut self.seen else { return false };
        let mut hasher = DefaultHasher::new();
        for (name, object) in &*run.memory.objects() {
            (name, object.id()).hash(&mut hasher);
        }
        let mut later: Vec<u64> = run.later.iter().map(digest).collect();
        later.sort_unstable();
        (later, &run.heard, &run.tries, &run.disturbed).hash(&mut hasher);
        if run.left.faults > 0 {
            run.listings.hash(&mut hasher);
        }
        if self.bounds.preemptions < Bounds::ALL {
            run.last.hash(&mut hasher);
        }
        let known = seen.entry(hasher.finish()).or_default();
        if known.iter().any(|before| before.covers(&run.left)) {
            return true;
        }
        known.retain(|before| !run.left.covers(before));
        known.push(run.left);
        false
    }

    /// What may happen next, the plainest first. Those who are done and may try again do.
    fn choices(&mut self, run: &mut Run) -> Result<Vec<Choice>, String> {
        let mut choices = Vec::new();
        let mut waiting = Vec::new();
        loop {
            let mut seats = self.stage.still();
            let mut again = None;
            for (seat, doing) in seats.iter_mut().enumerate() {
                let ended = match std::mem::replace(doing, Doing::Killed) {
                    Doing::Waiting(op) => {
                        *doing = Doing::Waiting(op);
                        continue;
                    }
                    Doing::Ended(ending) => Some(ending),
                    _ => None,
                };
                if run.endings[seat].is_some() {
                    continue;
                }
                let actor = &self.scenario.actors[seat];
                let failed = ended.as_ref().is_none_or(Result::is_err);
                if let Some(Err(e)) = &ended
                    && !run.disturbed[seat]
                    && !(actor.may_fail)(e)
                {
                    return Err(format!("{} failed although nothing went wrong: {e}", actor.name));
                }
                if let Some(Err(e)) = &ended
                    && e.to_string().contains("PANIC")
                {
                    return Err(format!("{}: {e}", actor.name));
                }
                if failed && run.disturbed[seat] && run.tries[seat] < actor.tries {
                    again = Some(seat);
                    break;
                }
                let killed = || Err(mv_repo::Error::Policy { what: "killed".into() });
                run.endings[seat] = Some(ended.unwrap_or_else(killed));
            }
            if let Some(seat) = again {
                drop(seats);
                run.schedule.push(format!("{} begins anew", self.scenario.actors[seat].name));
                self.enter(run, seat);
                continue;
            }
            for (seat, doing) in seats.iter().enumerate() {
                if let Doing::Waiting(op) = doing {
                    waiting.push((seat, op.clone()));
                }
            }
            break;
        }
        if let Some((seat, op)) = waiting.iter().find(|(_, op)| self.commutes(run, op)) {
            let fates = self.fates(run, *seat, op);
            return Ok(fates.into_iter().map(|fate| Choice::Actor(*seat, fate)).collect());
        }
        waiting.sort_by_key(|(seat, _)| (run.last != Some(*seat), *seat));
        let going_on = waiting.first().is_some_and(|(seat, _)| run.last == Some(*seat));
        for (turn, (seat, op)) in waiting.iter().enumerate() {
            if turn > 0 && going_on && run.left.preemptions == 0 {
                break;
            }
            let fates = self.fates(run, *seat, op);
            choices.extend(fates.into_iter().map(|fate| Choice::Actor(*seat, fate)));
        }
        choices.extend((0..run.later.len()).map(Choice::Lands));
        Ok(choices)
    }

    /// Whether nothing that another actor does makes a difference to a request, nor the other way
    /// round. Records that are there stay; so do packs, where nobody cleans up.
    fn commutes(&self, run: &Run, op: &Op) -> bool {
        match op {
            Op::Read(name) | Op::ReadRange(name, ..) | Op::ReadEnd(name, _) | Op::Stat(name) => {
                let lasting = !name.starts_with("packs/") || !self.collects;
                lasting && run.memory.objects().contains_key(name)
            }
            Op::Upload(..) => !self.collects,
            _ => false,
        }
    }

    /// What may become of a request.
    fn fates(&self, run: &Run, seat: usize, op: &Op) -> Vec<Fate> {
        let mut fates = vec![Fate::Done];
        let trouble = &self.scenario.actors[seat].trouble;
        if run.left.faults > 0 {
            if trouble.failures {
                fates.push(Fate::Failed);
                if op.changes() {
                    fates.push(Fate::ReplyLost);
                }
                if matches!(op, Op::Create(..)) {
                    fates.push(Fate::NotDurable);
                }
            }
            if trouble.kills {
                fates.push(Fate::KilledBefore);
                if op.changes() {
                    fates.push(Fate::KilledAfter);
                }
            }
            if trouble.stale
                && let Op::List(prefix) = op
                && let Some(before) = run.listings.get(prefix)
            {
                fates.extend((1..=before.len()).map(Fate::Stale));
            }
        }
        if run.left.late > 0 && trouble.late {
            match op {
                Op::Delete(_) => fates.extend([Fate::Later, Fate::FailedLater]),
                Op::Create(..) | Op::Upload(..) => fates.push(Fate::FailedLater),
                _ => {}
            }
        }
        fates
    }

    fn step(&mut self, run: &mut Run, choice: Choice) -> Result<(), String> {
        match choice {
            Choice::Lands(at) => {
                let op = run.later.remove(at);
                run.schedule.push(format!("{op} takes effect"));
                self.happen(run, &op).map(drop)
            }
            Choice::Actor(seat, fate) => self.act(run, seat, fate),
        }
    }

    fn act(&mut self, run: &mut Run, seat: usize, fate: Fate) -> Result<(), String> {
        let (op, stopped) = {
            let seats = self.stage.still();
            let waits = |seat: usize| matches!(seats[seat], Doing::Waiting(_));
            let stopped = run.last.is_some_and(|last| last != seat && waits(last));
            match &seats[seat] {
                Doing::Waiting(op) => (op.clone(), stopped),
                _ => return Err("nobody waits there".to_owned()),
            }
        };
        let at_once = self.commutes(run, &op);
        if stopped && !at_once {
            run.left.preemptions = run.left.preemptions.saturating_sub(1);
        }
        if fate.is_late() {
            run.left.late -= 1;
        } else if fate != Fate::Done {
            run.left.faults -= 1;
        }
        // What an acknowledged deletion leaves behind is no failure of whoever asked for it.
        let hears_of_it = !matches!(fate, Fate::Done | Fate::Stale(_) | Fate::Later);
        run.disturbed[seat] |= hears_of_it;
        if !at_once {
            run.last = Some(seat);
        }
        let how = match fate {
            Fate::Done => String::new(),
            other => format!(": {other:?}"),
        };
        run.schedule.push(format!("{} {op}{how}", self.scenario.actors[seat].name));
        let happened = if fate.happens() { Some(self.happen(run, &op)?) } else { None };
        let failure = |fault| {
            let (url, detail) = ("memory".to_owned(), "a test's fault".to_owned());
            Err(Error::Remote { url, fault, detail })
        };
        let cue = match (fate, happened) {
            (Fate::Done, Some(reply)) => Cue::Reply(reply),
            (Fate::Later, _) => Cue::Reply(Ok(Reply::Done)),
            // A taken name is told as such, whatever else goes wrong.
            (Fate::NotDurable, Some(Err(e))) => Cue::Reply(Err(e)),
            (Fate::NotDurable, _) => Cue::Reply(failure(Fault::NotDurable)),
            (Fate::Stale(ago), _) => {
                let before = &run.listings[op.name()];
                Cue::Reply(Ok(Reply::Names(before[before.len() - ago].clone())))
            }
            (Fate::KilledBefore | Fate::KilledAfter, _) => Cue::Die,
            _ => Cue::Reply(failure(Fault::Unreachable)),
        };
        if fate.is_late() {
            run.later.push(op.clone());
        }
        let told = match &cue {
            Cue::Reply(Ok(Reply::Bytes(bytes))) => digest(bytes),
            Cue::Reply(reply) => digest(format!("{reply:?}")),
            Cue::Die => 0,
        };
        run.heard[seat] = digest((run.heard[seat], digest(&op), told));
        self.stage.tell(seat, cue);
        Ok(())
    }

    /// A request takes effect.
    fn happen(&mut self, run: &mut Run, op: &Op) -> Result<mv_store::Result<Reply>, String> {
        if !op.changes() {
            return Ok(run.memory.apply(op));
        }
        if matches!(op, Op::Delete(name) if name.starts_with("state/")) {
            return Err("a record is deleted, which was taken to stay".to_owned());
        }
        let folder = op.name().rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        let above = folder.rsplit_once('/').map_or("", |(above, _)| above).to_owned();
        let before = [folder, above].map(|prefix| (run.memory.names(&prefix), prefix));
        let reply = run.memory.apply(op);
        for (names, prefix) in before {
            if !prefix.is_empty() && run.memory.names(&prefix) != names {
                run.listings.entry(prefix).or_default().push(names);
            }
        }
        if reply.is_ok() {
            self.judge.after(&run.memory, op)?;
        }
        Ok(reply)
    }

    /// All is done: what is left happens, and then everybody must find what they were promised.
    fn end(&mut self, run: &Run) -> Result<(), String> {
        for op in &run.later {
            if run.memory.apply(op).is_ok() {
                self.judge.after(&run.memory, op)?;
            }
        }
        for (seat, ending) in run.endings.iter().enumerate() {
            if matches!(ending, Some(Ok(()))) {
                self.judge.kept(seat)?;
            }
        }
        let failed: Vec<usize> = (0..run.endings.len())
            .filter(|seat| !matches!(run.endings[*seat], Some(Ok(()))))
            .collect();
        for seat in failed {
            let name = self.scenario.actors[seat].name;
            let door = self.stage.door(seat, &run.memory, true);
            self.stage.begin(seat, self.scenario.part(seat, run.tries[seat] + 1, door));
            let ended = std::mem::replace(&mut self.stage.still()[seat], Doing::Killed);
            match ended {
                Doing::Ended(Ok(())) => {
                    self.judge.after_all(&run.memory)?;
                    self.judge.kept(seat)?;
                }
                Doing::Ended(Err(e)) if (self.scenario.actors[seat].may_fail)(&e) => {
                    self.judge.given_up(seat)?;
                }
                Doing::Ended(Err(e)) => return Err(format!("{name} fails again: {e}")),
                _ => return Err(format!("{name} does not end")),
            }
        }
        self.judge.after_all(&run.memory)?;
        self.judge.verdict(&run.memory)
    }
}
