//! One network for many threads: what they ask at the same time is computed in one run.
//!
//! A GPU is fast when it is given much at once, but each thread reads one card and asks for a few lines at a time. So the
//! network runs on a thread of its own. While it computes, the questions of all others pile up; the next run takes as
//! many of them as have the same shape. Nobody waits for company: an idle network answers a single question at once.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use super::{Network, Networks, Tensor};
use crate::engine::Error;

/// Input values of one run, 48 MB: on the device a run takes a multiple of it.
const MAX_VALUES: usize = 12 << 20;

struct Question {
    input: Tensor,
    answer: SyncSender<Result<Tensor, Error>>,
}

/// `seats` handles on one network, to be used by as many threads. The network ends with the last of them.
///
/// # Errors
/// When no thread can be started.
pub(super) fn seats(network: Box<dyn Network>, seats: usize) -> Result<Networks, Error> {
    let (sender, receiver) = channel();
    thread::Builder::new()
        .name("network".into())
        .spawn(move || answer_all(network, &receiver))
        .map_err(|error| Error::Unavailable(format!("no thread for a network: {error}")))?;
    Ok((0..seats).map(|_| Box::new(Seat { questions: sender.clone() }) as Box<dyn Network>).collect())
}

struct Seat {
    questions: Sender<Question>,
}

impl Network for Seat {
    fn run(&mut self, input: &Tensor) -> Result<Tensor, Error> {
        let gone = || Error::Unavailable("the thread of the network has ended".into());
        let (answer, answered) = sync_channel(1);
        let input = Tensor { shape: input.shape.clone(), data: input.data.clone() };
        self.questions.send(Question { input, answer }).map_err(|_| gone())?;
        answered.recv().map_err(|_| gone())?
    }
}

fn answer_all(mut network: Box<dyn Network>, questions: &Receiver<Question>) {
    let mut waiting = VecDeque::new();
    loop {
        if waiting.is_empty() {
            match questions.recv() {
                Ok(question) => waiting.push_back(question),
                Err(_) => return,
            }
        }
        waiting.extend(questions.try_iter());
        let together = take_alike(&mut waiting);
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
    if together.len() > 1
        && let Ok(parts) = run_together(network, &together)
    {
        for (question, part) in together.into_iter().zip(parts) {
            // Whoever asked may be gone.
            let _ = question.answer.send(Ok(part));
        }
        return;
    }
    for question in together {
        let _ = question.answer.send(network.run(&question.input));
    }
}

fn run_together(network: &mut dyn Network, together: &[Question]) -> Result<Vec<Tensor>, Error> {
    let counts: Vec<usize> = together.iter().map(|question| question.input.shape[0]).collect();
    let count: usize = counts.iter().sum();
    let mut shape = together[0].input.shape.clone();
    shape[0] = count;
    let data = together.iter().flat_map(|question| question.input.data.iter().copied()).collect();
    let output = network.run(&Tensor { shape, data })?;
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
        fn run(&mut self, input: &Tensor) -> Result<Tensor, Error> {
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

    fn ask_at_once(most: usize, inputs: Vec<Tensor>) -> (Vec<Result<Tensor, Error>>, usize) {
        let runs = Arc::new(AtomicUsize::new(0));
        let seats = seats(Box::new(Doubling { runs: Arc::clone(&runs), most }), inputs.len()).unwrap();
        let start = &Barrier::new(inputs.len());
        let answers = thread::scope(|scope| {
            let asked: Vec<_> = seats
                .into_iter()
                .zip(&inputs)
                .map(|(mut seat, input)| {
                    scope.spawn(move || {
                        start.wait();
                        seat.run(input)
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
