//! What can be wrong with a file, as a stable code and a sentence that says what to do.

/// Why a file is not a usable picture. The texts hold nothing of the file's content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    #[error("The file is empty. Send the picture again.")]
    Empty,
    #[error("The file is {} MB large, the limit is {} MB. Send a smaller one.", bytes.div_ceil(1 << 20), limit >> 20)]
    TooLarge { bytes: usize, limit: usize },
    /// Not a picture at all, as far as its first bytes tell.
    #[error("The file is not a picture that can be read. Send a JPEG, PNG, WebP or PDF file.")]
    NotAPicture,
    /// A picture of another kind, or of a kind within a known format that nobody can decode here.
    #[error("This kind of file ({0}) is not supported. Send a JPEG, PNG, WebP or PDF file.")]
    Unsupported(&'static str),
    #[error(
        "The file is a HEIC picture, which is not supported. Send a JPEG: on an iPhone choose Settings, Camera, Formats, \
         Most Compatible and take it again, or share the picture as JPEG."
    )]
    Heic,
    #[error("The file ends before the picture is complete. Send it again, the transfer probably broke off.")]
    Truncated,
    /// With the place where it showed, for whoever looks into it.
    #[error("The file is damaged ({0}). Take or save the picture again.")]
    Corrupt(&'static str),
    #[error(
        "The picture of {width} x {height} pixels is too large. Save it with at most 8000 pixels on a side."
    )]
    TooManyPixels { width: u32, height: u32 },
    /// A progressive JPEG with more scans than any encoder writes.
    #[error("The picture is built in a needlessly complex way. Save it again as an ordinary JPEG.")]
    TooManyScans,
    #[error("The PDF is protected by a password. Save it without one, or send a photo.")]
    PdfEncrypted,
    #[error("The PDF has no page. Send a photo, or a PDF with the card on one of its first pages.")]
    PdfNoPage,
    #[error("A page of the PDF could not be drawn. Send a photo or a picture of the page instead.")]
    PdfFailed,
    #[error("The picture took longer than {0} s to decode. Save it again as an ordinary JPEG.")]
    TimedOut(u64),
}

impl ImageError {
    /// The name of this error for programs. Never changes.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "file_empty",
            Self::TooLarge { .. } => "file_too_large",
            Self::NotAPicture => "not_a_picture",
            Self::Unsupported(_) | Self::Heic => "unsupported_format",
            Self::Truncated => "file_truncated",
            Self::Corrupt(_) => "file_corrupt",
            Self::TooManyPixels { .. } => "too_many_pixels",
            Self::TooManyScans => "too_many_scans",
            Self::PdfEncrypted => "pdf_encrypted",
            Self::PdfNoPage => "pdf_no_page",
            Self::PdfFailed => "pdf_failed",
            Self::TimedOut(_) => "decode_timeout",
        }
    }
}
