//! Periodic patterns: what a photographed screen shows and a printed card does not.

use crate::canvas::Canvas;

pub(crate) fn strength(_canvas: &Canvas) -> f32 {
    0.0
}
