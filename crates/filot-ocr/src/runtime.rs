//! Where the networks run: ONNX Runtime when its library is found at run time, on a GPU if asked for, otherwise the `rten`
//! that is compiled in.

mod cuda;
mod onnxruntime;
mod rten;
mod shared;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use crate::engine::Error;

/// A dense float tensor, batch × channels × height × width for images, batch × steps × classes for text.
pub(crate) struct Tensor {
    pub(crate) shape: Vec<usize>,
    pub(crate) data: Vec<f32>,
}

/// A network with one input and one output, run on the calling thread's core or on a device.
pub(crate) trait Network: Send {
    fn run(&mut self, input: Tensor) -> Result<Tensor, Error>;

    /// Runs for several inputs that need not be of one shape. A network that others compute on too asks for all of them at
    /// once.
    fn run_all(&mut self, inputs: Vec<Tensor>) -> Result<Vec<Tensor>, Error> {
        inputs.into_iter().map(|input| self.run(input)).collect()
    }
}

/// What executes the networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuntimeKind {
    OnnxRuntime,
    /// ONNX Runtime on an NVIDIA GPU.
    Cuda,
    Rten,
}

impl RuntimeKind {
    pub fn name(self) -> &'static str {
        match self {
            RuntimeKind::OnnxRuntime => "ort",
            RuntimeKind::Cuda => "cuda",
            RuntimeKind::Rten => "rten",
        }
    }
}

/// Loads networks; made once per engine.
pub(crate) enum Runtime {
    Cpu(onnxruntime::Library),
    /// With so many copies of each network.
    Cuda {
        library: onnxruntime::Library,
        streams: usize,
    },
    /// The one that is compiled in.
    Rten,
}

impl Runtime {
    /// ONNX Runtime from the given library file. The library stays loaded for the life of the process, and the first
    /// one that was loaded wins.
    pub(crate) fn onnxruntime(library: &Path) -> Result<Self, Error> {
        onnxruntime::Library::open(library).map(Runtime::Cpu)
    }

    /// ONNX Runtime with the CUDA provider that lies beside the given library file, and `streams` copies of each network:
    /// while one waits for its data, another computes.
    ///
    /// # Errors
    /// When the provider or the CUDA libraries are not there. Whether a GPU answers shows when a network is loaded.
    pub(crate) fn cuda(library: &Path, streams: usize) -> Result<Self, Error> {
        cuda::find(library)?;
        Ok(Runtime::Cuda { library: onnxruntime::Library::open(library)?, streams })
    }

    pub(crate) fn kind(&self) -> RuntimeKind {
        match self {
            Runtime::Cpu(_) => RuntimeKind::OnnxRuntime,
            Runtime::Cuda { .. } => RuntimeKind::Cuda,
            Runtime::Rten => RuntimeKind::Rten,
        }
    }

    /// One model for `readers` threads at a time: an instance for each, or as many on the GPU as it has streams, which all
    /// of them share. `shape` is a usual input; on the GPU, where the first run of a network takes seconds, it is run once.
    pub(crate) fn load(&self, model: &[u8], readers: usize, shape: [usize; 4]) -> Result<Pool, Error> {
        let networks = match self {
            Runtime::Cpu(library) => library.load(model, readers)?,
            Runtime::Cuda { library, streams } => {
                let load = |_| {
                    let mut network = library.load_on_gpu(model)?;
                    network.run(Tensor { shape: shape.to_vec(), data: vec![0.0; shape.iter().product()] })?;
                    Ok(network)
                };
                let networks = (0..(*streams).max(1)).map(load).collect::<Result<Networks, Error>>()?;
                shared::seats(networks, readers)?
            }
            Runtime::Rten => rten::load(model, readers)?,
        };
        Ok(Pool { networks: networks.into_iter().map(Mutex::new).collect() })
    }
}

/// Equal networks, each used by one thread at a time.
pub(crate) struct Pool {
    networks: Vec<Mutex<Box<dyn Network>>>,
}

impl Pool {
    pub(crate) fn run(&self, input: Tensor) -> Result<Tensor, Error> {
        self.free().run(input)
    }

    /// The outputs stand in the order of the inputs.
    pub(crate) fn run_all(&self, inputs: Vec<Tensor>) -> Result<Vec<Tensor>, Error> {
        self.free().run_all(inputs)
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

#[cfg(test)]
pub(crate) mod faults {
    //! A device that is taken away.

    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::{Mutex, Network, Pool, Tensor, shared};
    use crate::engine::Error;

    struct TakenAway {
        network: Box<dyn Network>,
        runs_left: Arc<AtomicUsize>,
    }

    impl Network for TakenAway {
        fn run(&mut self, input: Tensor) -> Result<Tensor, Error> {
            let left = self.runs_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
            left.map_err(|_| Error::Failed("the device is gone".into()))?;
            self.network.run(input)
        }
    }

    impl Pool {
        /// One of these networks, shared by all threads as on a GPU, that fails when `runs_left` is used up.
        pub(crate) fn shared_until(self, runs_left: &Arc<AtomicUsize>) -> Self {
            let seats = self.networks.len();
            let network = self.networks.into_iter().next().unwrap().into_inner().unwrap();
            let network = TakenAway { network, runs_left: Arc::clone(runs_left) };
            let networks = shared::seats(vec![Box::new(network)], seats).unwrap();
            Self { networks: networks.into_iter().map(Mutex::new).collect() }
        }
    }
}
