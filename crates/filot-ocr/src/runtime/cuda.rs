//! NVIDIA GPUs: whether ONNX Runtime's provider for them and the CUDA libraries are there, and how the provider is set up.

use std::path::{Path, PathBuf};

use ort::ep::cuda::{CUDA, CUDA_DYLIBS, CUDNN_DYLIBS, ConvAlgorithmSearch};
use ort::ep::{ArenaExtendStrategy, ExecutionProviderDispatch};

use crate::engine::Error;

/// The file beside the ONNX Runtime library that holds the provider.
const PROVIDER: &str = "libonnxruntime_providers_cuda.so";
/// Where CUDA and cuDNN lie besides the library's own folder and the places that the system's loader knows.
const USUAL_PLACES: [&str; 2] = ["/usr/local/cuda/lib64", "/usr/lib/x86_64-linux-gnu"];

/// Looks for the provider and loads the CUDA libraries that lie where the system's loader would not look.
///
/// # Errors
/// When there is no provider beside `library`, or a CUDA library is there but does not load.
pub(super) fn find(library: &Path) -> Result<(), Error> {
    let folder = library.parent().unwrap_or(Path::new("."));
    if !folder.join(PROVIDER).is_file() {
        return Err(Error::Unavailable(format!(
            "there is no {PROVIDER} beside {}: `scripts/gpu-runtime.sh FOLDER` fetches the ONNX Runtime for CUDA, \
             reader.library names it",
            library.display()
        )));
    }
    let places: Vec<PathBuf> =
        std::iter::once(folder.to_owned()).chain(USUAL_PLACES.map(PathBuf::from)).collect();
    for name in CUDA_DYLIBS.iter().chain(CUDNN_DYLIBS) {
        // One that is nowhere here may still be known to the loader, or not be needed.
        let Some(file) = places.iter().map(|place| place.join(name)).find(|file| file.is_file()) else {
            continue;
        };
        ort::util::preload_dylib(&file)
            .map_err(|error| Error::Unavailable(format!("{} does not load: {error}", file.display())))?;
    }
    Ok(())
}

/// The provider, or an error instead of a silent return to the CPU.
pub(super) fn provider() -> ExecutionProviderDispatch {
    CUDA::default()
        // The same numbers as on the CPU, so that a card gets the same verdict wherever it is read.
        .with_tf32(false)
        // Lines come in some thirty widths and runs in many sizes: trying every algorithm for each of them takes longer
        // than it saves.
        .with_conv_algorithm_search(ConvAlgorithmSearch::Heuristic)
        .with_arena_extend_strategy(ArenaExtendStrategy::SameAsRequested)
        .build()
        .error_on_failure()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_without_the_provider_beside_it_is_refused_with_what_to_do() {
        let error = find(Path::new("/nowhere/libonnxruntime.so")).unwrap_err().to_string();
        assert!(error.contains(PROVIDER) && error.contains("scripts/gpu-runtime.sh"), "{error}");
    }
}
