//! The pure-Rust runtime: needs nothing, runs anywhere.

use std::sync::Arc;

use rten::{ModelOptions, RunOptions, ThreadPool};
use rten_tensor::prelude::*;
use rten_tensor::{Tensor as RtenTensor, TensorView};

use super::{Network, Networks, SharedModel, Tensor};
use crate::engine::Error;

struct RtenNetwork {
    model: SharedModel,
    /// One thread: several cores are used by reading several cards at a time.
    pool: Arc<ThreadPool>,
}

pub(super) fn load(model: &[u8], copies: usize) -> Result<Networks, Error> {
    let model = ModelOptions::with_all_ops()
        .load(model.to_vec())
        .map_err(|error| Error::Unavailable(format!("the model does not load in rten: {error}")))?;
    let model = Arc::new(model);
    Ok((0..copies)
        .map(|_| {
            let network =
                RtenNetwork { model: Arc::clone(&model), pool: Arc::new(ThreadPool::with_num_threads(1)) };
            Box::new(network) as Box<dyn Network>
        })
        .collect())
}

impl Network for RtenNetwork {
    fn run(&mut self, input: Tensor) -> Result<Tensor, Error> {
        let failed = |error: &dyn std::fmt::Display| Error::Failed(format!("rten: {error}"));
        let view: TensorView<'_, f32> = TensorView::from_data(&input.shape[..], &input.data[..]);
        let mut options = RunOptions::default();
        options.thread_pool = Some(Arc::clone(&self.pool));
        let output = self.model.run_one(view.into(), Some(options)).map_err(|error| failed(&error))?;
        let output: RtenTensor<f32> =
            output.try_into().map_err(|_| failed(&"the output is not a float tensor"))?;
        Ok(Tensor { shape: output.shape().to_vec(), data: output.to_vec() })
    }
}
