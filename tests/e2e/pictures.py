"""What independent readers say of a picture: Pillow with littlecms, exiftool. The picture tests derive from it what hoist must do.

Nothing here knows a file by its name. A "look" is an 8-bit sRGB picture as a browser would show it: upright, profile applied, on a background.
"""
import contextlib
import io
import json
import os
import re
import subprocess
import warnings

import numpy
import pillow_heif
from PIL import Image, ImageCms, ImageOps, ImageSequence

warnings.simplefilter("ignore")
pillow_heif.register_heif_opener()
Image.MAX_IMAGE_PIXELS = None           # what is too large is told from the header, here

PIXELS_MAX, FRAMES_PIXELS_MAX = 120_000_000, 200_000_000        # imgproc/imgproc.h
CONVERTED = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "TIFF", "HEIF", "AVIF")
SRGB = ImageCms.createProfile("sRGB")


class Picture:
    """A file as Pillow understands it. format is None: it is no picture. broken: why it cannot be read to its end."""

    presses = []        # CMYK profiles that were met

    def __init__(self, path):
        self.path = os.fspath(path)
        self.bytes = os.path.getsize(path)
        self.format, self.broken, self.size, self.frames, self.durations, self.loop = None, None, (0, 0), 1, [], None
        self.animated = self.alpha = self.huge = False
        self.icc, self.mode, self.orientation = None, "", 1
        with contextlib.suppress(Exception), Image.open(self.path) as im:
            self.format, self.mode = im.format, im.mode
            self.read(im)

    def read(self, im):
        self.icc = im.info.get("icc_profile") or None
        try:
            self.orientation = im.getexif().get(0x0112, 1)
            w, h = im.size
            self.size = (h, w) if self.orientation in (5, 6, 7, 8) else (w, h)
            self.huge = w * h > PIXELS_MAX
            if self.huge:
                return
            self.frames = getattr(im, "n_frames", 1)
            self.animated = self.format in ("GIF", "WEBP", "PNG", "AVIF") and self.frames > 1
            self.huge = self.animated and w * h * self.frames > FRAMES_PIXELS_MAX
            if self.huge:
                return
            if self.animated:
                self.loop = im.info.get("loop")
                self.durations = [frame.info.get("duration", 0) for frame in ImageSequence.Iterator(im) if frame.load() or True]
            else:
                im.load()
            if self.mode == "CMYK" and self.icc:
                self.presses.append(self.icc)
            self.alpha = has_alpha(im) and im.convert("RGBA").getchannel("A").getextrema()[0] < 255
        except Exception as why:
            self.broken = str(why) or type(why).__name__

    @property
    def pixels(self):
        return self.size[0] * self.size[1] * self.frames

    @property
    def fine(self):
        return self.format is not None and self.broken is None and not self.huge

    @property
    def converted(self):
        """Of a kind that hoist converts."""
        return self.format in CONVERTED

    def fitted(self, edge):
        """The size that the recipe's longest edge leads to."""
        w, h = self.size
        scale = min(1, edge / max(w, h)) if edge else 1
        return max(1, round(w * scale)), max(1, round(h * scale))

    def look(self, background=(255, 255, 255), alpha=False):
        with Image.open(self.path) as im:
            return look(im, background, alpha)

    def looks(self, background=(255, 255, 255)):
        """All that a careful reader may make of its colours: by either of the intents that photographs are converted with; without its profile when
        that is malformed (an intent that does not exist: libpng and browsers drop it); CMYK without a profile by any that a press has."""
        with Image.open(self.path) as im:
            if im.mode == "CMYK" and not self.icc:
                return [look(im, background, profile=icc, intent=i) for icc in Picture.presses for i in (0, 1)] or [look(im, background)]
            found = [look(im, background)]
            if self.icc:
                found.append(look(im, background, intent=ImageCms.Intent.RELATIVE_COLORIMETRIC))
            if self.icc and int.from_bytes(self.icc[64:68], "big") > 3:
                found.append(look(im, background, profile=b""))
            return found

    def shown(self):
        """(end of its time in ms, look) of every frame."""
        t = 0
        with Image.open(self.path) as im:
            for frame in ImageSequence.Iterator(im):
                frame.load()        # the time is known after that
                t += shown_ms(frame.info.get("duration", 0))
                yield t, look(frame)


def shown_ms(ms):
    return 100 if ms < 11 else ms       # as browsers do


def has_alpha(im):
    return im.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in im.info


def eight_bits(im):
    if im.mode.startswith("I;16") or im.mode == "I":
        wide = numpy.asarray(im).astype("float64")
        return Image.fromarray((wide / 257).round().clip(0, 255).astype("uint8"))
    return im


def look(im, background=(255, 255, 255), alpha=False, profile=None, intent=ImageCms.Intent.PERCEPTUAL):
    icc = im.info.get("icc_profile") if profile is None else profile
    im = ImageOps.exif_transpose(im)
    im = eight_bits(im)
    channel = im.convert("RGBA").getchannel("A") if has_alpha(im) else None
    if im.mode in ("P", "PA", "1", "LA", "La", "RGBa"):
        im = im.convert("RGB" if im.mode != "LA" else "L")
    elif im.mode == "RGBA":
        im = im.convert("RGB")
    if icc:
        with contextlib.suppress(ImageCms.PyCMSError, OSError):
            profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            space = profile.profile.xcolor_space.strip()
            wanted = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK"}.get(space)
            if wanted == im.mode:
                im = ImageCms.profileToProfile(im, profile, SRGB, renderingIntent=intent, outputMode="RGB")
    im = im.convert("RGB")
    if alpha:
        return im, channel
    if channel is not None:
        ground = Image.new("RGB", im.size, background)
        ground.paste(im, mask=channel)
        im = ground
    return im


# ---------------------------------------------------------------------------------------------------------------- likeness


def luma(im):
    return numpy.asarray(im.convert("L")).astype("float64")


def luma_error(a, b):
    """Root of the mean square, in steps of 255."""
    return float(numpy.sqrt(((luma(a) - luma(b)) ** 2).mean()))


def windows(a, n=8):
    """Sums over all n x n windows."""
    s = numpy.pad(a, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    return s[n:, n:] - s[:-n, n:] - s[n:, :-n] + s[:-n, :-n]


def ssim(a, b):
    """Mean structural similarity of two looks of one size (Wang et al. 2004; 8 x 8 windows of luma)."""
    x, y = luma(a), luma(b)
    n = min(8, *x.shape)
    count = n * n
    mx, my = windows(x, n) / count, windows(y, n) / count
    vx, vy = windows(x * x, n) / count - mx * mx, windows(y * y, n) / count - my * my
    cov = windows(x * y, n) / count - mx * my
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return float(((2 * mx * my + c1) * (2 * cov + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2))).mean())


def lab(im):
    rgb = numpy.asarray(im).astype("float64") / 255
    rgb = numpy.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = rgb @ numpy.array([[0.4124564, 0.2126729, 0.0193339], [0.3575761, 0.7151522, 0.1191920], [0.1804375, 0.0721750, 0.9503041]])
    f = xyz / (0.95047, 1, 1.08883)
    f = numpy.where(f > 0.008856, numpy.cbrt(f), 7.787 * f + 16 / 116)
    return numpy.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1)


def colour_error(a, b, patches=8):
    """CIE76 of the means of patches x patches fields: (mean, most)."""
    e = numpy.sqrt(((lab(a.resize((patches, patches), Image.BOX)) - lab(b.resize((patches, patches), Image.BOX))) ** 2).sum(-1))
    return float(e.mean()), float(e.max())


def scaled(im, size):
    return im if im.size == size else im.resize(size, Image.LANCZOS)


def same_pixels(a, b):
    """Bit for bit the same picture, as decoded."""
    with Image.open(a) as x, Image.open(b) as y:
        if (x.size, x.mode, getattr(x, "n_frames", 1)) != (y.size, y.mode, getattr(y, "n_frames", 1)):
            return False
        return all(fx.tobytes() == fy.tobytes() for fx, fy in zip(ImageSequence.Iterator(x), ImageSequence.Iterator(y)))


# ---------------------------------------------------------------------------------------------------------------- metadata


def exiftool(*paths):
    """path -> {"Group1:Tag": value}, all that exiftool finds, also embedded."""
    r = subprocess.run(["exiftool", "-a", "-G1", "-s", "-ee", "-j", "-charset", "filename=utf8", "-api", "requestall=0", "-@", "-"],
                       input="\n".join(paths).encode("utf-8", "surrogateescape"), capture_output=True, check=False)
    return {row["SourceFile"]: row for row in json.loads(r.stdout or b"[]")}


# What a file needs to be shown, or what the reader says of the file rather than from it.
STRUCTURE = re.compile(r"""(SourceFile|(ExifTool|System|File|Composite|JFIF|ICC.*|Adobe|GIF|Meta|Track\d+|IHDR):.*
    |File:.*|PNG(-pHYs|-cICP)?:(ImageWidth|ImageHeight|BitDepth|ColorType|Compression|Filter|Interlace|Palette|Transparency|SRGBRendering|Gamma|WhitePoint\w
    |(Red|Green|Blue)[XY]|BackgroundColor|PixelsPerUnit[XY]|PixelUnits|SignificantBits|ProfileName|Animation\w+|WhitePoint[XY])
    |RIFF:(ImageWidth|ImageHeight|HorizontalScale|VerticalScale|WebP_Flags|VP8Version|AlphaIsUsed|Alpha\w+|BackgroundColor|AnimationLoopCount|FrameCount|Duration)
    |QuickTime:.*|(IFD0|ExifIFD):(Orientation|[XY]Resolution|ResolutionUnit|YCbCrPositioning|ExifVersion|ComponentsConfiguration|FlashpixVersion|ColorSpace
    |ExifImageWidth|ExifImageHeight))""", re.X)
# Of the pixels' layout: in TIFF these are EXIF tags.
LAYOUT = re.compile(r"""IFD\d+:(SubfileType|OldSubfileType|ImageWidth|ImageHeight|BitsPerSample|Compression|PhotometricInterpretation|FillOrder|StripOffsets
    |SamplesPerPixel|RowsPerStrip|StripByteCounts|PlanarConfiguration|PageNumber|Predictor|ColorMap|Tile\w+|ExtraSamples|SampleFormat|JPEG\w*
    |YCbCr\w+|ReferenceBlackWhite|WhitePoint|PrimaryChromaticities|(Min|Max)SampleValue|Thresholding|ICC_Profile|T[46]Options|[XY]Resolution|ResolutionUnit
    |Orientation|TransferFunction)""", re.X)
# metadata=safe: date, camera, lens, exposure, copyright.
SAFE = re.compile(r"""(IFD0|ExifIFD|InteropIFD):(Make|Model|Artist|Copyright|ModifyDate|DateTimeOriginal|CreateDate|OffsetTime\w*|SubSecTime\w*
    |Lens(Info|Make|Model)|ExposureTime|FNumber|ExposureProgram|ISO|SensitivityType|RecommendedExposureIndex|StandardOutputSensitivity|ISOSpeed\w*|ShutterSpeedValue
    |ApertureValue|BrightnessValue|ExposureCompensation|MaxApertureValue|SubjectDistance|MeteringMode|LightSource|Flash|FocalLength(In35mmFormat)?|ExposureIndex
    |SensingMethod|FileSource|SceneType|CustomRendered|ExposureMode|WhiteBalance|DigitalZoomRatio|SceneCaptureType|GainControl|Contrast|Saturation|Sharpness
    |SubjectDistanceRange|SpectralSensitivity|CompressedBitsPerPixel|Gamma|InteropIndex|InteropVersion|CompositeImage\w*|FocalPlane\w+|CFAPattern
    |FlashEnergy)""", re.X)
KEPT_WHEN_SAFE = ("IFD0:Make", "IFD0:Model", "IFD0:Copyright", "ExifIFD:DateTimeOriginal")
# exiftool's composites are made from other tags: those of places can only come from places.
PRIVATE = re.compile(r"(GPS|.*:GPS|Composite:(GPS|ThumbnailImage|PreviewImage|JpgFromRaw)|File:(Comment|Trailer|XP)|.*:(SerialNumber|OwnerName|CameraOwnerName|UserComment)"
                     r"|.*Thumbnail(Image|Offset|Length)|.*:PreviewImage)")


def private(tags, level, tiff=False):
    """Tags that should not be there at this level of metadata."""
    bad = []
    for name in tags:
        allowed = STRUCTURE.fullmatch(name) or (tiff and LAYOUT.fullmatch(name)) or (level == "safe" and SAFE.fullmatch(name))
        if not allowed or PRIVATE.match(name):
            bad.append(name)
    return bad
