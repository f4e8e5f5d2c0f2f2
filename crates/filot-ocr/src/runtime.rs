//! Where the networks run: ONNX Runtime when its library is found at run time, otherwise the `rten` that is compiled in.

mod onnxruntime;
mod rten;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use crate::engine::Error;

/// A dense float tensor, batch × channels × height × width for images, batch × steps × classes for text.
pub(crate) struct Tensor {
    pub(crate) shape: Vec<usize>,
    pub(crate) data: Vec<f32>,
}

/// A network with one input and one output, run on the calling thread's core.
pub(crate) trait Network: Send {
    fn run(&mut self, input: &Tensor) -> Result<Tensor, Error>;
}

/// Which of the two executes the networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuntimeKind {
    OnnxRuntime,
    Rten,
}

impl RuntimeKind {
    pub fn name(self) -> &'static str {
        match self {
            RuntimeKind::OnnxRuntime => "ort",
            RuntimeKind::Rten => "rten",
        }
    }
}

/// Loads networks; made once per engine.
pub(crate) enum Runtime {
    OnnxRuntime(onnxruntime::Library),
    Rten,
}

impl Runtime {
    /// ONNX Runtime from the given library file. The library stays loaded for the life of the process, and the first
    /// one that was loaded wins.
    pub(crate) fn onnxruntime(library: &Path) -> Result<Self, Error> {
        onnxruntime::Library::open(library).map(Runtime::OnnxRuntime)
    }

    pub(crate) fn kind(&self) -> RuntimeKind {
        match self {
            Runtime::OnnxRuntime(_) => RuntimeKind::OnnxRuntime,
            Runtime::Rten => RuntimeKind::Rten,
        }
    }

    /// `copies` independent instances of one model, so that as many threads can run it at a time.
    pub(crate) fn load(&self, model: &[u8], copies: usize) -> Result<Pool, Error> {
        let networks = match self {
            Runtime::OnnxRuntime(library) => library.load(model, copies)?,
            Runtime::Rten => rten::load(model, copies)?,
        };
        Ok(Pool { networks: networks.into_iter().map(Mutex::new).collect() })
    }
}

/// Equal networks, each used by one thread at a time.
pub(crate) struct Pool {
    networks: Vec<Mutex<Box<dyn Network>>>,
}

impl Pool {
    pub(crate) fn run(&self, input: &Tensor) -> Result<Tensor, Error> {
        self.free().run(input)
    }

    /// A free network, or the first one once it is free.
    fn free(&self) -> MutexGuard<'_, Box<dyn Network>> {
        // A thread that panicked inside a network left no state behind that the next run would read.
        for network in &self.networks {
            match network.try_lock() {
                Ok(guard) => return guard,
                Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        self.networks[0].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Networks = Vec<Box<dyn Network>>;
type SharedModel = Arc<::rten::Model>;
