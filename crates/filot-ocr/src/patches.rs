//! Connected patches of a picture: marks of text lines, pieces of ink.

/// Neighbouring pixels, diagonal ones included, as places in the picture.
pub(crate) struct Patch {
    pub(crate) pixels: Vec<usize>,
    /// Those with a neighbour outside it, or at the edge of the picture.
    pub(crate) border: Vec<usize>,
}

/// The patches of the pixels that `inside` names, row by row of `width`; in the order of their first pixels.
pub(crate) fn patches(inside: impl Iterator<Item = bool>, width: usize) -> Patches {
    let pixels: Vec<Pixel> = inside.map(|inside| if inside { Pixel::New } else { Pixel::Outside }).collect();
    let height = pixels.len() / width.max(1);
    Patches { pixels, width, height, next: 0, stack: Vec::new() }
}

#[derive(Clone, Copy, PartialEq)]
enum Pixel {
    Outside,
    New,
    Seen,
}

pub(crate) struct Patches {
    pixels: Vec<Pixel>,
    width: usize,
    height: usize,
    next: usize,
    stack: Vec<usize>,
}

impl Iterator for Patches {
    type Item = Patch;

    fn next(&mut self) -> Option<Patch> {
        let start = self.next + self.pixels[self.next..].iter().position(|pixel| *pixel == Pixel::New)?;
        self.next = start + 1;
        self.pixels[start] = Pixel::Seen;
        self.stack.push(start);
        let mut patch = Patch { pixels: Vec::new(), border: Vec::new() };
        while let Some(at) = self.stack.pop() {
            patch.pixels.push(at);
            let (x, y) = (at % self.width, at / self.width);
            let mut inner = true;
            for (dx, dy) in [(-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (1, -1), (-1, 1), (1, 1)] {
                let (x, y) = (x.wrapping_add_signed(dx), y.wrapping_add_signed(dy));
                if x >= self.width || y >= self.height {
                    inner = false;
                    continue;
                }
                let near = y * self.width + x;
                match self.pixels[near] {
                    Pixel::Outside => inner = false,
                    Pixel::Seen => {}
                    Pixel::New => {
                        self.pixels[near] = Pixel::Seen;
                        self.stack.push(near);
                    }
                }
            }
            if !inner {
                patch.border.push(at);
            }
        }
        Some(patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn touching_corners_connect_and_the_inside_is_no_border() {
        let picture = "\
            ####...\
            ####...\
            ####...\
            ....#..\
            ......#";
        let found: Vec<Patch> = patches(picture.chars().map(|c| c == '#'), 7).collect();
        let sizes: Vec<_> = found.iter().map(|patch| (patch.pixels.len(), patch.border.len())).collect();
        // Of the block its two inner pixels have only neighbours of the patch.
        assert_eq!(sizes, [(13, 11), (1, 1)]);
        assert_eq!(patches(std::iter::empty(), 7).count(), 0);
    }
}
