//! ONNX Runtime, loaded from a shared library at run time.

use std::path::Path;
use std::sync::OnceLock;

use ort::environment::Environment;
use ort::ep::ExecutionProviderDispatch;
use ort::session::builder::GraphOptimizationLevel;
use ort::session::{RunOptions, Session};
use ort::value::TensorRef;

use super::{Network, Networks, Tensor};
use crate::engine::Error;

/// ONNX Runtime permits one environment per process and it has to outlive every session, hence the static.
static ENVIRONMENT: OnceLock<Result<Environment, String>> = OnceLock::new();

pub(crate) struct Library {
    environment: &'static Environment,
}

impl Library {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let opened = ENVIRONMENT.get_or_init(|| {
            let builder = ort::init_from(path).map_err(|error| error.to_string())?;
            builder.with_name("filot").build().map_err(|error| error.to_string())
        });
        match opened {
            Ok(environment) => Ok(Self { environment }),
            Err(error) => {
                Err(Error::Unavailable(format!("ONNX Runtime at {} does not load: {error}", path.display())))
            }
        }
    }

    pub(super) fn load(&self, model: &[u8], copies: usize) -> Result<Networks, Error> {
        let cpu = || ort::ep::CPU::default().with_arena_allocator(true).build();
        (0..copies)
            .map(|_| {
                let session = self.session(model, cpu()).map_err(|error| {
                    Error::Unavailable(format!("the model does not load in ONNX Runtime: {error}"))
                })?;
                Ok(Box::new(OrtNetwork::new(session)?) as Box<dyn Network>)
            })
            .collect()
    }

    /// The model on the first GPU that is visible to this process.
    pub(super) fn load_on_gpu(&self, model: &[u8]) -> Result<Box<dyn Network>, Error> {
        let session = self
            .session(model, super::cuda::provider())
            .map_err(|error| {
                Error::Unavailable(format!(
                    "the model does not load on the GPU (it takes a driver of the 580 series, CUDA 13 and cuDNN 9): \
                     {error}"
                ))
            })?;
        Ok(Box::new(OrtNetwork::new(session)?))
    }

    fn session(&self, model: &[u8], provider: ExecutionProviderDispatch) -> ort::Result<Session> {
        let builder = Session::builder(self.environment)?;
        // One thread per session: several cores are used by reading several cards at a time. The arena keeps the pages of
        // one run for the next: a run without it spends half its time in page faults. It grows to what the largest shape
        // needs, which the callers bound. Memory patterns would plan, and keep, a block of their own for every shape.
        let mut builder = builder
            .with_optimization_level(GraphOptimizationLevel::Level3)?
            .with_intra_threads(1)?
            .with_inter_threads(1)?
            .with_memory_pattern(false)?
            .with_execution_providers([provider])?;
        builder.commit_from_memory(model)
    }
}

/// Inputs with more numbers than this are rare: a search of a whole photo at twice the usual size. What they need is given
/// back at once, or every reader would hold that much for good.
const RARE_INPUT: usize = 3 * 800 * 640;

struct OrtNetwork {
    session: Session,
    giving_back: RunOptions,
}

impl OrtNetwork {
    fn new(session: Session) -> Result<Self, Error> {
        let options = || {
            let mut options = RunOptions::new()?;
            options.set("memory.enable_memory_arena_shrinkage", "cpu:0")?;
            Ok(options)
        };
        let giving_back =
            options().map_err(|error: ort::Error| Error::Unavailable(format!("ONNX Runtime: {error}")))?;
        Ok(Self { session, giving_back })
    }
}

impl Network for OrtNetwork {
    fn run(&mut self, input: Tensor) -> Result<Tensor, Error> {
        let failed = |error: ort::Error| Error::Failed(format!("ONNX Runtime: {error}"));
        let view = TensorRef::from_array_view((&input.shape[..], &input.data[..])).map_err(failed)?;
        let outputs = if input.data.len() > RARE_INPUT {
            self.session.run_with_options(ort::inputs![view], &self.giving_back)
        } else {
            self.session.run(ort::inputs![view])
        }
        .map_err(failed)?;
        let (shape, data) = outputs[0].try_extract_tensor::<f32>().map_err(failed)?;
        Ok(Tensor { shape: shape.iter().map(|&n| n as usize).collect(), data: data.to_vec() })
    }
}
