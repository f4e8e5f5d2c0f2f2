//! A few networks for many threads: what they ask at the same time is computed in one run.
//!
//! A GPU is fast when it is given much at once, but each thread reads one card and asks for a few lines at a time. So the
//! networks, copies of one, run on threads of their own. While they compute, the questions of all others pile up; the next
//! run takes as many of them as have the same shape. Nobody waits for company: an idle network answers a single question
//! at once. While one copy waits for its data to be moved, another computes.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::{Network, Networks, Tensor};
use crate::engine::Error;

/// Values asked for in one run, 48 MB, before they are filled up: on the device a run takes a multiple of it.
const MAX_VALUES: usize = 12 << 20;

struct Question {
    input: Tensor,
    answer: SyncSender<Result<Tensor, Error>>,
}

/// Where seats leave their questions.
struct Desk {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    waiting: VecDeque<Question>,
    seats: usize,
    networks: usize,
}

impl Desk {
    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is made in one step, so a panic elsewhere leaves nothing half-done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next questions of one shape; none once nobody can ask any more.
    fn next(&self) -> Vec<Question> {
        let idle = |state: &mut State| state.waiting.is_empty() && state.seats > 0;
        let state = self.changed.wait_while(self.state(), idle);
        take_alike(&mut state.unwrap_or_else(PoisonError::into_inner).waiting)
    }
}

/// `seats` handles on `networks` that are copies of one, to be used by as many threads. The networks end with the last of
/// them.
///
/// # Errors
/// When no thread can be started.
pub(super) fn seats(networks: Networks, seats: usize) -> Result<Networks, Error> {
    let state = State { waiting: VecDeque::new(), seats, networks: networks.len() };
    let desk = Arc::new(Desk { state: Mutex::new(state), changed: Condvar::new() });
    let seats = (0..seats).map(|_| Box::new(Seat { desk: Arc::clone(&desk) }) as Box<dyn Network>).collect();
    for network in networks {
        let working = Working(Arc::clone(&desk));
        thread::Builder::new()
            .name("network".into())
            .spawn(move || answer_all(network, &working))
            .map_err(|error| Error::Unavailable(format!("no thread for a network: {error}")))?;
    }
    Ok(seats)
}

struct Seat {
    desk: Arc<Desk>,
}

impl Seat {
    /// Leaves questions; where their answers will come, in the same order.
    fn ask(&self, inputs: Vec<Tensor>) -> Vec<Receiver<Result<Tensor, Error>>> {
        let mut state = self.desk.state();
        let answers = inputs.into_iter().map(|input| {
            let (answer, answered) = sync_channel(1);
            // Without a network the question is dropped, and whoever waits for its answer learns that none will come.
            if state.networks > 0 {
                state.waiting.push_back(Question { input, answer });
            }
            answered
        });
        let answers = answers.collect();
        drop(state);
        self.desk.changed.notify_all();
        answers
    }
}

impl Network for Seat {
    fn run(&mut self, input: Tensor) -> Result<Tensor, Error> {
        self.run_all(vec![input])?.pop().ok_or_else(gone)
    }

    fn run_all(&mut self, inputs: Vec<Tensor>) -> Result<Vec<Tensor>, Error> {
        self.ask(inputs).into_iter().map(|answered| answered.recv().map_err(|_| gone())?).collect()
    }
}

fn gone() -> Error {
    Error::Unavailable("the thread of the network has ended".into())
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.desk.state().seats -= 1;
        self.desk.changed.notify_all();
    }
}

/// A network's place at the desk. When the last one is given up, by a panic too, nobody waits any longer.
struct Working(Arc<Desk>);

impl Drop for Working {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.networks -= 1;
        if state.networks == 0 {
            state.waiting.clear();
        }
    }
}

fn answer_all(mut network: Box<dyn Network>, working: &Working) {
    loop {
        let together = working.0.next();
        if together.is_empty() {
            return;
        }
        answer(network.as_mut(), together);
    }
}

/// The longest waiting question and all that can be computed with it.
fn take_alike(waiting: &mut VecDeque<Question>) -> Vec<Question> {
    let Some(first) = waiting.pop_front() else { return Vec::new() };
    let shape = first.input.shape[1..].to_vec();
    let mut values = first.input.data.len();
    let mut together = vec![first];
    let mut others = VecDeque::with_capacity(waiting.len());
    for question in waiting.drain(..) {
        let more = question.input.data.len();
        if question.input.shape[1..] == shape && values + more <= MAX_VALUES {
            values += more;
            together.push(question);
        } else {
            others.push_back(question);
        }
    }
    *waiting = others;
    together
}

/// Computes questions of one shape and answers each. When a run of several fails, each is tried alone, so that one that
/// is too much for the device does not take the others with it.
fn answer(network: &mut dyn Network, together: Vec<Question>) {
    let answers = match run_together(network, &together) {
        Err(_) if together.len() > 1 => {
            let alone = |question| Ok(run_together(network, std::slice::from_ref(question))?.remove(0));
            together.iter().map(alone).collect()
        }
        Err(error) => vec![Err(error)],
        Ok(parts) => parts.into_iter().map(Ok).collect::<Vec<_>>(),
    };
    for (question, answer) in together.into_iter().zip(answers) {
        // Whoever asked may be gone.
        let _ = question.answer.send(answer);
    }
}

/// The outputs in the order of the questions. The batch is filled up with zeros to a power of two: CUDA plans every
/// convolution anew for each shape it has not seen, which takes longer than the run.
fn run_together(network: &mut dyn Network, together: &[Question]) -> Result<Vec<Tensor>, Error> {
    let counts: Vec<usize> = together.iter().map(|question| question.input.shape[0]).collect();
    let count = counts.iter().sum::<usize>().next_power_of_two();
    let mut shape = together[0].input.shape.clone();
    shape[0] = count;
    let mut data = Vec::with_capacity(shape.iter().product());
    together.iter().for_each(|question| data.extend_from_slice(&question.input.data));
    data.resize(shape.iter().product(), 0.0);
    let output = network.run(Tensor { shape, data })?;
    if output.shape.first() != Some(&count) {
        return Err(Error::Failed(format!("{count} inputs gave outputs of shape {:?}", output.shape)));
    }
    let size = output.data.len() / count;
    let mut rest = &output.data[..];
    Ok(counts
        .into_iter()
        .map(|count| {
            let (data, others) = rest.split_at(count * size);
            rest = others;
            let mut shape = output.shape.clone();
            shape[0] = count;
            Tensor { shape, data: data.to_vec() }
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Barrier};
    use std::time::Duration;

    use super::*;

    /// Doubles every value; fails for runs of more than `most` inputs and for those that hold a negative value.
    struct Doubling {
        runs: Arc<AtomicUsize>,
        most: usize,
    }

    impl Network for Doubling {
        fn run(&mut self, input: Tensor) -> Result<Tensor, Error> {
            self.runs.fetch_add(1, Ordering::SeqCst);
            // Long enough for questions to pile up.
            thread::sleep(Duration::from_millis(20));
            if input.shape[0] > self.most || input.data.iter().any(|value| *value < 0.0) {
                return Err(Error::Failed("too much".into()));
            }
            Ok(Tensor {
                shape: input.shape.clone(),
                data: input.data.iter().map(|value| 2.0 * value).collect(),
            })
        }
    }

    fn doubling(runs: &Arc<AtomicUsize>, most: usize) -> Box<dyn Network> {
        Box::new(Doubling { runs: Arc::clone(runs), most })
    }

    fn ask_at_once(most: usize, inputs: Vec<Tensor>) -> (Vec<Result<Tensor, Error>>, usize) {
        let runs = Arc::new(AtomicUsize::new(0));
        let seats = seats(vec![doubling(&runs, most)], inputs.len()).unwrap();
        let start = &Barrier::new(inputs.len());
        let answers = thread::scope(|scope| {
            let asked: Vec<_> = seats
                .into_iter()
                .zip(&inputs)
                .map(|(mut seat, input)| {
                    scope.spawn(move || {
                        start.wait();
                        seat.run(Tensor { shape: input.shape.clone(), data: input.data.clone() })
                    })
                })
                .collect();
            asked.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        (answers, runs.load(Ordering::SeqCst))
    }

    fn inputs(count: usize, width: impl Fn(usize) -> usize) -> Vec<Tensor> {
        (0..count).map(|i| Tensor { shape: vec![1, width(i)], data: vec![i as f32; width(i)] }).collect()
    }

    #[test]
    fn questions_of_one_shape_are_computed_together_and_each_gets_its_own_answer() {
        let (answers, runs) = ask_at_once(usize::MAX, inputs(12, |i| 3 + i % 2));
        for (i, answer) in answers.into_iter().enumerate() {
            let answer = answer.unwrap();
            assert_eq!(answer.shape, [1, 3 + i % 2]);
            assert!(answer.data.iter().all(|value| *value == 2.0 * i as f32));
        }
        // The first alone or with some, then what piled up, by shape.
        assert!(runs < 8, "{runs} runs for 12 questions of two shapes");
    }

    #[test]
    fn a_run_has_one_of_few_sizes() {
        /// Takes note of the sizes of its runs.
        struct Noting(SyncSender<usize>);
        impl Network for Noting {
            fn run(&mut self, input: Tensor) -> Result<Tensor, Error> {
                self.0.send(input.shape[0]).unwrap();
                Ok(input)
            }
        }
        let (sizes, noted) = sync_channel(64);
        let mut seat = seats(vec![Box::new(Noting(sizes))], 1).unwrap().pop().unwrap();
        for count in [1, 3, 5, 11] {
            let asked = inputs(count, |_| 4);
            let answers = seat.run_all(asked).unwrap();
            assert!(answers.iter().enumerate().all(|(i, answer)| answer.data == [i as f32; 4]), "{count}");
        }
        assert_eq!(noted.try_iter().collect::<Vec<_>>(), [1, 4, 8, 16]);
    }

    #[test]
    fn one_that_fails_does_not_take_the_others_with_it() {
        let mut asked = inputs(6, |_| 4);
        asked[3].data[0] = -1.0;
        let (answers, _) = ask_at_once(usize::MAX, asked);
        let failed: Vec<usize> = (0..6).filter(|&i| answers[i].is_err()).collect();
        assert_eq!(failed, [3]);
        let (answers, _) = ask_at_once(1, inputs(6, |_| 4));
        assert!(answers.iter().all(Result::is_ok));
    }

    #[test]
    fn several_questions_of_one_thread_are_asked_at_once_and_answered_in_order() {
        let runs = Arc::new(AtomicUsize::new(0));
        let mut seat = seats(vec![doubling(&runs, usize::MAX)], 1).unwrap().pop().unwrap();
        let answers = seat.run_all(inputs(10, |i| 3 + i % 2)).unwrap();
        for (i, answer) in answers.iter().enumerate() {
            assert_eq!(answer.shape, [1, 3 + i % 2]);
            assert!(answer.data.iter().all(|value| *value == 2.0 * i as f32));
        }
        assert_eq!(runs.load(Ordering::SeqCst), 2);
    }

    /// Answers once both of its kind are asked.
    struct Meeting(Arc<Barrier>);

    impl Network for Meeting {
        fn run(&mut self, input: Tensor) -> Result<Tensor, Error> {
            self.0.wait();
            Ok(input)
        }
    }

    #[test]
    fn copies_compute_at_the_same_time() {
        let both = Arc::new(Barrier::new(2));
        let copies: Networks =
            (0..2).map(|_| Box::new(Meeting(Arc::clone(&both))) as Box<dyn Network>).collect();
        let mut seat = seats(copies, 1).unwrap().pop().unwrap();
        // Of two shapes: no run can take both, so each copy takes one and waits for the other.
        assert_eq!(seat.run_all(inputs(2, |i| 3 + i)).unwrap().len(), 2);
    }

    struct Panicking;

    impl Network for Panicking {
        fn run(&mut self, _: Tensor) -> Result<Tensor, Error> {
            panic!("as a driver may")
        }
    }

    #[test]
    fn nobody_waits_for_a_network_that_has_ended() {
        let mut seat = seats(vec![Box::new(Panicking)], 1).unwrap().pop().unwrap();
        for _ in 0..2 {
            let answer = seat.run_all(inputs(3, |i| 3 + i));
            assert!(matches!(answer, Err(Error::Unavailable(_))), "{:?}", answer.err());
        }
    }

    #[test]
    fn a_run_is_no_larger_than_the_device_can_take() {
        let (answer, _kept) = sync_channel(1);
        let large = || Question {
            input: Tensor { shape: vec![1, MAX_VALUES / 2], data: vec![0.0; MAX_VALUES / 2] },
            answer: answer.clone(),
        };
        let mut waiting: VecDeque<Question> = (0..3).map(|_| large()).collect();
        assert_eq!(take_alike(&mut waiting).len(), 2);
        assert_eq!(waiting.len(), 1);
    }
}
