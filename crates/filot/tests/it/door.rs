//! A9, A5: crowds before the door of the real program, and single guests who take their time.

mod crowd;
mod guests;
