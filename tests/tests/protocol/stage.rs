//! [`Stage`]: actors on threads of their own, each stopped before every request to the remote until
//! the director lets it go on.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use mv_store::{Error, Fault};
use mv_tests::memory_transport::{Gate, Memory, Op, Reply};

/// What an actor's part comes to: nothing, or what went wrong.
pub(super) type Ending = Result<(), mv_repo::Error>;
/// One try at an actor's part.
pub(super) type Part = Box<dyn FnOnce() -> Ending + Send>;

/// What the director tells a waiting actor.
pub(super) enum Cue {
    Reply(mv_store::Result<Reply>),
    /// The process is killed.
    Die,
}

/// What an actor is doing.
pub(super) enum Doing {
    Running,
    Waiting(Op),
    /// It was told what it waited for and has not looked yet.
    Told(Cue),
    Ended(Ending),
    Killed,
}

/// All actors of a run.
pub(super) struct Stage {
    board: Arc<Board>,
    threads: Vec<Sender<Part>>,
}

struct Board {
    seats: Mutex<Vec<Doing>>,
    /// For the director: an actor stopped.
    stopped: Condvar,
    /// For each actor: it was told something.
    told: Vec<Condvar>,
}

impl Board {
    fn seats(&self) -> MutexGuard<'_, Vec<Doing>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An actor stops.
    fn stop(&self, seat: usize, doing: Doing) {
        self.seats()[seat] = doing;
        self.stopped.notify_one();
    }

    /// Sleeps until the seats are as `ready` says.
    fn wait(
        &self,
        moved: &Condvar,
        ready: impl Fn(&[Doing]) -> bool,
    ) -> MutexGuard<'_, Vec<Doing>> {
        let mut seats = self.seats();
        while !ready(&seats) {
            seats = moved.wait(seats).unwrap_or_else(PoisonError::into_inner);
        }
        seats
    }
}

/// The end of an actor that was killed.
struct Killed;

/// An actor's way to the remote.
pub(super) struct Door {
    board: Arc<Board>,
    seat: usize,
    /// For what is of no interest here: advice, and the look at whether a place is fit.
    memory: Arc<Memory>,
    /// Whether all is of no interest, because the performance is over.
    open: bool,
    /// Taken by a request, so that an actor with several threads still asks for one thing at a time.
    turn: Mutex<()>,
}

impl Gate for Door {
    fn pass(&self, op: Op) -> mv_store::Result<Reply> {
        if std::thread::panicking() {
            let detail = "killed".to_owned();
            let url = "memory".to_owned();
            return Err(Error::Remote { url, fault: Fault::Unreachable, detail });
        }
        let name = op.name();
        let matters = ["state", "packs", "format"].iter().any(|p| name.starts_with(p));
        if self.open || !matters {
            return self.memory.apply(&op);
        }
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.board.stop(self.seat, Doing::Waiting(op));
        let told = &self.board.told[self.seat];
        let mut seats = self.board.wait(told, |seats| matches!(seats[self.seat], Doing::Told(_)));
        let told = std::mem::replace(&mut seats[self.seat], Doing::Running);
        drop(seats);
        match told {
            Doing::Told(Cue::Reply(reply)) => reply,
            _ => resume_unwind(Box::new(Killed)),
        }
    }
}

impl Stage {
    /// Threads for so many actors. Each computes alone, so that what it does follows from what it
    /// is told.
    pub(super) fn new(actors: usize) -> Stage {
        let board = Arc::new(Board {
            seats: Mutex::new((0..actors).map(|_| Doing::Killed).collect()),
            stopped: Condvar::new(),
            told: (0..actors).map(|_| Condvar::new()).collect(),
        });
        let thread = |seat: usize| {
            let (sender, parts) = channel::<Part>();
            let board = Arc::clone(&board);
            std::thread::spawn(move || {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread();
                let _pool = pool.build().unwrap();
                for part in parts {
                    let ended = match catch_unwind(AssertUnwindSafe(part)) {
                        Ok(ending) => Doing::Ended(ending),
                        Err(payload) if payload.is::<Killed>() => Doing::Killed,
                        Err(bug) => {
                            let text = bug.downcast_ref::<String>().cloned();
                            let text = text.unwrap_or_else(|| "a panic".to_owned());
                            Doing::Ended(Err(mv_repo::Error::Policy {
                                what: format!("PANIC {text}"),
                            }))
                        }
                    };
                    board.stop(seat, ended);
                }
            });
            sender
        };
        let threads = (0..actors).map(thread).collect();
        Stage { board, threads }
    }

    /// The door of an actor to this place.
    pub(super) fn door(&self, seat: usize, memory: &Arc<Memory>, open: bool) -> Arc<Door> {
        let (board, memory) = (Arc::clone(&self.board), Arc::clone(memory));
        Arc::new(Door { board, seat, memory, open, turn: Mutex::default() })
    }

    /// An actor begins its part.
    pub(super) fn begin(&self, seat: usize, part: Part) {
        self.board.seats()[seat] = Doing::Running;
        self.threads[seat].send(part).unwrap();
    }

    /// Waits until nobody acts; what each is doing then.
    pub(super) fn still(&self) -> MutexGuard<'_, Vec<Doing>> {
        self.board.wait(&self.board.stopped, |seats| {
            !seats.iter().any(|doing| matches!(doing, Doing::Running | Doing::Told(_)))
        })
    }

    pub(super) fn tell(&self, seat: usize, cue: Cue) {
        self.board.seats()[seat] = Doing::Told(cue);
        self.board.told[seat].notify_one();
    }

    /// Ends the performance, whatever anybody was about to do.
    pub(super) fn curtain(&self) {
        loop {
            let waiting: Vec<usize> = {
                let seats = self.still();
                let waits = |seat: &usize| matches!(seats[*seat], Doing::Waiting(_));
                (0..seats.len()).filter(waits).collect()
            };
            if waiting.is_empty() {
                return;
            }
            waiting.into_iter().for_each(|seat| self.tell(seat, Cue::Die));
        }
    }
}

/// A hash to compare states by.
pub(super) fn digest(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}
