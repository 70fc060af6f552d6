#!/usr/bin/env python3
"""Every picture below tests/images (and HOIST_IMAGES) through hoist images, judged by other programs: what must come out follows from the source."""
import contextlib
import io
import os
import shutil
import socket
import statistics
import subprocess

import lib      # first: it goes on in the environment of the servers

import images
import pictures
from images import Findings, Recipe, Run, everything, files, picture_of, size_is, source
from pictures import Picture
from PIL import Image, ImageCms

# What keeps its likeness at quality 80 and above: measured over all pictures, less a margin. Luma against a Lanczos resize of the whole decode.
SSIM_FLOOR, SSIM_FLOOR_ARCHIVE = 0.90, 0.96
COLOUR_MEAN, COLOUR_MOST = 2.5, 7.0
FORMATS = {"jpeg": ("JPEG", "MPO"), "webp": ("WEBP",), "avif": ("AVIF",), "png": ("PNG",)}
NAMES = {**FORMATS, "gif": ("GIF",), "heic": ("HEIF",), "tiff": ("TIFF",)}


# ---------------------------------------------------------------------------------------------------------------- every picture


def readable(path):
    """A strict reader other than Pillow finds no fault with it."""
    return subprocess.run(["vips", "avg", f"{path}[fail_on=warning]"], capture_output=True, check=False).returncode == 0


def each(text, only=lambda p: True):
    run = everything(text)
    for path in files():
        p = source(path)
        if only(p) and (path in run.events or not images.is_slow(text)):
            yield p, run.events.get(path), run.objects.get(path, [])


def check_outcomes(t, text):
    """Whole pictures are never refused, cut ones never passed off as made, and the rest goes as it is."""
    found, n, recipe = Findings(), 0, Recipe(text)
    for p, event, objects in each(text):
        n += 1
        encoded = [o for o in objects if o.encoded]
        if p.broken or p.huge or not p.format or not p.converted:
            found.need(not encoded or not p.format and readable(p.path), p.path, f"{p.format} {p.broken or p.size}: {encoded and encoded[0].recipe}")
            found.need(not event or event.get("note") or event.get("failed") or any(o.note or o.recipe for o in objects), p.path,
                       "no word on why it was not converted")
            continue
        if event is None or event.get("failed"):
            found.need(not readable(p.path), p.path, f"a whole picture was refused: {event and event['failed']}")
            continue
        found.need(len(objects) == 1, p.path, f"{len(objects)} objects")
        for o in objects:
            about = f"{o.recipe or 'as it is'} ({o.note})"
            found.need(os.path.getsize(o.path) == o.bytes, p.path, f"{about}: {o.bytes} bytes told, {os.path.getsize(o.path)} there")
            found.need(o.bytes <= p.bytes, p.path, f"{about}: grew from {p.bytes} to {o.bytes}")
            found.need(not recipe.limit or o.bytes <= recipe.limit or o.note, p.path, f"{about}: {o.bytes} bytes, limit {recipe.limit}, and not a word")
            found.need(o.encodes <= 8, p.path, f"{about}: {o.encodes} encodes")
            made = Picture(o.path)
            found.need(made.fine, p.path, f"{about}: the result is not readable: {made.broken}")
            found.need((o.about.get("width"), o.about.get("height")) in ((None, None), made.size), p.path, f"{about}: is {made.size}")
            found.need(o.about.get("format") in (None, *(k for k, names in NAMES.items() if made.format in names)), p.path, f"{about}: is {made.format}")
            if o.encoded:
                found.need(size_is(made.size, p.fitted(recipe.edge)) or (recipe.limit and max(made.size) < max(p.fitted(recipe.edge))), p.path,
                           f"{about}: {made.size}, not {p.fitted(recipe.edge)}")
                aspect = made.size[0] * p.size[1] / (made.size[1] * p.size[0])
                found.need(abs(aspect - 1) < 1.5 / min(made.size), p.path, f"{about}: aspect {aspect:.3f}")
                found.need(made.orientation == 1, p.path, f"{about}: orientation {made.orientation}")
                fine = (p.format in ("JPEG", "PNG", "WEBP", "GIF", "AVIF") and p.orientation == 1 and not p.icc and p.mode != "CMYK" and recipe.format == "auto" and
                        p.fitted(recipe.edge) == p.size and p.bytes <= (recipe.limit or p.bytes))
                found.need(o.bytes <= p.bytes * (100 - recipe.savings) / 100 or not fine, p.path, f"{about}: saves too little, {p.bytes} to {o.bytes}")
            else:
                found.need(made.size == p.size and pictures.same_pixels(o.path, p.path), p.path, f"{about}: not the source's pixels")
    found.end(n)


def worthwhile(p, recipe):
    """Bytes of a plain conversion by Pillow."""
    im, channel = p.look(alpha=True)
    im = pictures.scaled(im, p.fitted(recipe.edge))
    if p.alpha:
        im.putalpha(pictures.scaled(channel, im.size))
    with io.BytesIO() as f:
        im.save(f, "WEBP", quality=recipe.quality, method=2)
        return len(f.getvalue())


def test_web(t):
    check_outcomes(t, "web")


def test_archive(t):
    check_outcomes(t, "archive")


def test_what_is_worth_it_is_done(t):
    """A still picture of which Pillow makes a third less at the same settings does not stay as it is."""
    found, n, recipe = Findings(), 0, Recipe("web")
    for p, event, objects in each("web", lambda p: p.fine and p.converted and not p.animated):
        if not objects or objects[0].encoded:
            continue
        n += 1
        reference = worthwhile(p, recipe)
        found.need(reference > p.bytes * 0.66, p.path, f"stays at {objects[0].bytes} bytes; Pillow makes {reference} of it. {objects[0].note}")
    found.end(n)


def judged(got, look):
    """Likeness, mean and most colour error. What nobody can tell from the other is alike, also where noise in a black picture makes SSIM small."""
    look = pictures.scaled(look, got.size)
    return 1 if pictures.luma_error(got, look) < 1 else pictures.ssim(got, look), *pictures.colour_error(got, look)


def likeness(text, floor, animated=False):
    found, scores, recipe = Findings(), [], Recipe(text)
    for path in files():        # CMYK without a profile is judged by those that others have
        source(path)
    for p, event, objects in each(text, lambda p: p.fine and p.converted and p.animated == animated):
        for o in objects:
            if not o.encoded:
                continue
            made = Picture(o.path)
            ground = recipe.background if not made.alpha else (255, 255, 255)
            got = made.look()
            score, mean, most = min((judged(got, look) for look in p.looks(ground)), key=lambda j: j[1])
            scores.append(score)
            found.need(score >= floor or min(made.size) < 8, p.path, f"{o.recipe}: SSIM {score:.3f} < {floor}")
            found.need(mean <= COLOUR_MEAN and most <= COLOUR_MOST, p.path, f"{o.recipe}: colours are off by {mean:.1f}, at most {most:.1f}")
    if scores:
        print(f"# SSIM: least {min(scores):.3f}, median {statistics.median(scores):.3f}")
    found.end(len(scores))


def test_likeness_web(t):
    likeness("web", SSIM_FLOOR)


def test_likeness_archive(t):
    likeness("archive", SSIM_FLOOR_ARCHIVE)


def test_likeness_jpeg(t):
    likeness("web format=jpeg metadata=none min-savings=0", SSIM_FLOOR)


def test_likeness_avif(t):
    likeness("web format=avif max-edge=320 effort=0 min-savings=0", SSIM_FLOOR)


def test_likeness_png(t):
    likeness("web format=png max-edge=400 max-bytes=none min-savings=0", 0.97)


def test_formats(t):
    """Format asked for is format made; keep keeps it; auto makes what browsers show, with alpha where there is alpha."""
    found, n = Findings(), 0
    for text in ("web", "web format=jpeg metadata=none min-savings=0", "web format=avif max-edge=320 effort=0 min-savings=0",
                 "web format=png max-edge=400 max-bytes=none min-savings=0", "web format=keep max-edge=600 min-savings=0"):
        recipe = Recipe(text)
        for p, event, objects in each(text, lambda p: p.fine and p.converted):
            for o in objects:
                if not o.encoded:
                    continue
                n += 1
                made = Picture(o.path)
                allowed = FORMATS.get(recipe.format) or ("WEBP", "JPEG", "PNG")
                if recipe.format == "keep" and p.format in ("JPEG", "MPO", "PNG", "WEBP", "AVIF", "GIF"):
                    allowed = (p.format,) if p.format != "MPO" else ("JPEG",)
                found.need(made.format in allowed, p.path, f"{text}: {made.format}, not {allowed}")
                found.need(made.alpha == p.alpha or made.format == "JPEG", p.path, f"{text}: alpha {p.alpha} became {made.alpha}")
                found.need(made.animated == p.animated, p.path, f"{text}: {p.frames} frames became {made.frames}")
                if p.alpha and made.alpha and not p.animated:
                    a, b = p.look(alpha=True)[1], made.look(alpha=True)[1]
                    score = pictures.ssim(pictures.scaled(a, made.size), b)
                    found.need(score > 0.9, p.path, f"{text}: alpha is another one, SSIM {score:.3f}")
    found.end(n)


def test_orientations_are_one_picture(t):
    """Files that differ in their orientation only must come out alike: those of one folder whose upright looks are alike."""
    found, n = Findings(), 0
    for text in ("web min-savings=0", "web format=jpeg metadata=none min-savings=0"):
        run, first = everything(text), None
        folder = os.path.join(lib.ROOT, "tests/images/orientation")
        for path in (p for p in files() if os.path.dirname(p) == folder and p.endswith(".jpg")):
            o, n = run.one(path), n + 1
            with Image.open(o.path) as im:
                found.need(not o.encoded or im.getexif().get(0x0112, 1) == 1, path, f"{text}: turned, and says that it has to be turned")
            upright = Picture(o.path).look().resize((200, 267))
            first = first or upright
            score, turned = (pictures.ssim(x, upright) for x in (first, first.transpose(Image.Transpose.ROTATE_180)))
            found.need(score > 0.6 and score > turned + 0.3, path, f"{text}: not the picture of its neighbours, SSIM {score:.3f}, upside down {turned:.3f}")
    found.end(n)


def test_animations(t):
    """At the middle of every frame's time the result shows that frame; total time and loop are kept."""
    found, n = Findings(), 0
    for text in ("web", "web min-savings=0 max-edge=120", "web format=keep max-edge=600 min-savings=0"):
        for p, event, objects in each(text, lambda p: p.fine and p.animated):
            for o in objects:
                n += 1
                made = Picture(o.path)
                about = f"{text}, {o.recipe or 'as it is'} ({o.note})"
                found.need(made.frames > 1 and made.frames <= p.frames, p.path, f"{about}: {p.frames} frames became {made.frames}")
                if not o.encoded or made.frames <= 1:
                    continue
                found.need((made.loop or 0) == (p.loop or 0) or p.format != made.format and abs((made.loop or 0) - (p.loop or 0)) <= 1, p.path,
                           f"{about}: loop {p.loop} became {made.loop}")
                before, after = list(p.shown()), list(made.shown())
                found.need(abs(before[-1][0] - after[-1][0]) <= 10 * len(before) ** 0.5, p.path, f"{about}: {before[-1][0]} ms became {after[-1][0]}")
                began = 0
                for i, (end, wanted) in enumerate(before):
                    middle, began = (began + end) / 2, end
                    got = next((look for until, look in after if until > middle), after[-1][1])
                    score = pictures.ssim(got, pictures.scaled(wanted, got.size))
                    found.need(score > 0.75, p.path, f"{about}: frame {i}: SSIM {score:.3f}")
    found.end(n)


# ---------------------------------------------------------------------------------------------------------------- colour profiles


def called(icc):
    return ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(icc)))


def test_profiles_are_applied_or_kept(t):
    found, n = Findings(), 0
    plain, kept = "web min-savings=0", "web min-savings=0 color-profile=keep"
    for p, event, objects in each(plain, lambda p: p.fine and p.converted and not p.animated and p.icc):
        for o in objects:
            if o.encoded:
                n += 1
                with Image.open(o.path) as im:
                    icc = im.info.get("icc_profile")
                found.need(not icc or "sRGB" in called(icc), p.path, f"{o.recipe}: made sRGB, and says {icc and called(icc)}")
    for p, event, objects in each(kept, lambda p: p.fine and p.converted and not p.animated and p.icc and p.mode not in ("CMYK", "L")):
        for o in objects:
            # One that is a good part of the file gives way, sRGB's need not be said, and XYB is no colour to be seen.
            if o.encoded and len(p.icc) < o.bytes / 8 and not any(word in called(p.icc) for word in ("sRGB", "XYB")):
                n += 1
                made = Picture(o.path)
                found.need(made.icc == p.icc, p.path, f"{o.recipe}: its profile of {len(p.icc)} bytes became {made.icc and len(made.icc)}")
                mean, most = pictures.colour_error(made.look(), pictures.scaled(p.look(), made.size))
                found.need(mean <= COLOUR_MEAN, p.path, f"{o.recipe}: with its profile the colours are off by {mean:.1f}")
    found.end(n)


# ---------------------------------------------------------------------------------------------------------------- metadata


def check_metadata(t, text):
    found, n, recipe = Findings(), 0, Recipe(text)
    checked = [(p, o) for p, event, objects in each(text, lambda p: p.fine and p.converted) for o in objects]
    before, after = pictures.exiftool(*(p.path for p, o in checked)), pictures.exiftool(*(o.path for p, o in checked))
    for p, o in checked:
        n += 1
        about, tags, had = f"{text}, {o.recipe or 'as it is'} ({o.note})", after[o.path], before[p.path]
        bad = pictures.private(tags, recipe.metadata, tiff=p.format == "TIFF" and not o.encoded)
        found.need(not bad, p.path, f"{about}: {', '.join(f'{b}={str(tags[b])[:40]}' for b in bad[:12])}")
        if recipe.metadata == "safe":
            for tag in pictures.KEPT_WHEN_SAFE:
                found.need(tags.get(tag) == had.get(tag), p.path, f"{about}: {tag} was {had.get(tag)}, is {tags.get(tag)}")
    found.end(n)


def test_metadata_safe(t):
    check_metadata(t, "web")


def test_metadata_safe_passed_through(t):
    check_metadata(t, "web max-edge=none min-savings=90")


def test_metadata_none(t):
    check_metadata(t, "web format=jpeg metadata=none min-savings=0")


def test_metadata_none_passed_through(t):
    check_metadata(t, "web max-edge=none min-savings=90 metadata=none")


def test_metadata_all(t):
    """What the source says of places, cameras and people is still there, but for its orientation, which has been obeyed."""
    found, n = Findings(), 0
    checked = [(p, o) for p, event, objects in each("web metadata=all min-savings=0 format=webp max-edge=300", lambda p: p.fine and p.converted and not p.animated)
               for o in objects if o.encoded]
    before, after = pictures.exiftool(*(p.path for p, o in checked)), pictures.exiftool(*(o.path for p, o in checked))
    for p, o in checked:
        for tag in ("IFD0:Make", "IFD0:Model", "ExifIFD:DateTimeOriginal", "GPS:GPSLatitude", "ExifIFD:SerialNumber", "XMP-dc:Creator"):
            if tag in before[p.path] and o.bytes > 8000:      # what is a good part of the file gives way
                n += 1
                found.need(after[o.path].get(tag) == before[p.path][tag], p.path, f"{o.recipe}: {tag} was {before[p.path][tag]}, is {after[o.path].get(tag)}")
        with Image.open(o.path) as im:
            found.need(im.getexif().get(0x0112, 1) == 1, p.path, "turned, and says that it has to be turned")
    found.end(n)


MARK = "HOISTLEAK"
PLANTED = ["-GPSAreaInformation={}", "-ExifIFD:SerialNumber={}", "-ExifIFD:OwnerName={}", "-ExifIFD:LensSerialNumber={}", "-ExifIFD:UserComment={}",
           "-IFD0:ImageDescription={}", "-IFD0:HostComputer={}", "-IFD0:XPAuthor={}", "-IFD0:Software={}", "-ExifIFD:ImageUniqueID={}", "-XMP-dc:Creator={}",
           "-XMP-dc:Description={}", "-XMP-photoshop:City={}", "-XMP-xmpMM:DocumentID={}", "-IPTC:City={}", "-IPTC:By-line={}", "-Comment={}", "-PNG:Author={}",
           "-PNG:Title={}", "-Photoshop:CaptionDigest={}"]
KEPT = ["-IFD0:Make=HoistMake", "-IFD0:Model=HoistModel", "-IFD0:Copyright=HoistCopyright", "-ExifIFD:DateTimeOriginal=2020:02:03 04:05:06", "-IFD0:Artist=HoistArtist"]
PLACE = ["-GPSLatitude=51.5", "-GPSLatitudeRef=N", "-GPSLongitude=7.4", "-GPSLongitudeRef=E"]


def planted(t, path, name):
    """A copy with marks wherever exiftool can put them: (path, marks)."""
    copy = shutil.copy(path, t.path(name))
    thumb = t.path("thumb.jpg")
    Image.effect_noise((60, 40), 40).save(thumb, comment=f"{MARK}-thumb".encode())
    subprocess.run(["exiftool", "-q", "-q", "-m", "-overwrite_original", *KEPT, *PLACE, f"-ThumbnailImage<={thumb}",
                    *(p.format(f"{MARK}-{i:02}") for i, p in enumerate(PLANTED)), copy], check=False, capture_output=True)
    if name.endswith((".jpg", ".png", ".webp", ".gif")):
        with open(copy, "ab") as f:
            f.write(f"{MARK}-tail".encode() * 50)
    content = open(copy, "rb").read()
    marks = [m for m in (*(f"{MARK}-{i:02}" for i in range(len(PLANTED))), f"{MARK}-thumb", f"{MARK}-tail") if in_bytes(m, content)]
    assert marks or name.endswith(".tif"), f"nothing could be planted into {name}"
    return copy, marks


def in_bytes(text, content):
    return any(text.encode(code) in content for code in ("utf-8", "utf-16-le", "utf-16-be"))


def test_planted_marks_are_gone(t):
    """Marks in every tag that exiftool can write, in every kind; encoded anew or passed through, no byte of them is left."""
    found, n = Findings(), 0
    first = {}
    for path in files():
        p = source(path)
        if p.fine and p.converted and p.bytes < 1_500_000 and min(p.size) > 60:
            first.setdefault((p.format, p.animated), path)
    ends = {"JPEG": "jpg", "MPO": "mpo.jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif", "TIFF": "tif", "HEIF": "heic", "AVIF": "avif"}
    copies = {}
    for (kind, animated), path in first.items():
        copies[kind, animated] = planted(t, path, f"{'moving-' if animated else 'still-'}{kind.lower()}.{ends[kind]}")
    print("#", {k: len(m) for k, (c, m) in copies.items()})
    for level in ("none", "safe"):
        for text in (f"web metadata={level} min-savings=0", f"web metadata={level} min-savings=0 format=jpeg", f"web metadata={level} min-savings=0 format=keep max-edge=100",
                     f"web metadata={level} min-savings=90 max-edge=none max-bytes=none"):
            run = Run(t.folder, [c for c, m in copies.values()], "--images", text)
            outs = [o.path for objects in run.objects.values() for o in objects]
            tags = pictures.exiftool(*outs)
            for (kind, animated), (copy, marks) in copies.items():
                for o in run.objects[copy]:
                    n += 1
                    content = open(o.path, "rb").read()
                    about = f"{text}, {o.recipe or 'as it is'} ({o.note})"
                    left = [m for m in marks if in_bytes(m, content)]
                    found.need(not left, copy, f"{about}: {left}")
                    found.need(MARK not in str(tags[o.path]), copy, f"{about}: exiftool finds a mark")
                    found.need(not any("GPS" in k for k in tags[o.path]), copy, f"{about}: a place")
                    kept = tags[o.path].get("IFD0:Copyright")
                    if level == "none" or "IFD0:Copyright" in pictures.exiftool(copy)[copy]:
                        found.need(kept == (None if level == "none" else "HoistCopyright"), copy, f"{about}: copyright is {kept}")
    found.end(n)


# ---------------------------------------------------------------------------------------------------------------- recipes


def photos(least=1_000_000):
    """Photographs of more than so many pixels, from largest to smallest file."""
    found = [source(f) for f in files()]
    return sorted((p for p in found if p.fine and p.format in ("JPEG", "MPO") and p.size[0] * p.size[1] > least and p.mode == "RGB"), key=lambda p: -p.bytes)


def test_longest_edge(t):
    p = photos(4_000_000)[-1]
    for edge in (16, 100, 777, max(p.size), 65535):
        o = Run(t.folder, [p.path], "--images", f"web max-edge={edge} min-savings=0").one(p.path)
        assert size_is(Picture(o.path).size, p.fitted(edge)), (edge, o.recipe)
    o = Run(t.folder, [p.path], "--images", "web max-edge=none min-savings=0").one(p.path)
    assert Picture(o.path).size == p.size, o.recipe


def test_byte_target(t):
    """The result fits, is no smaller than it has to be, and takes few encodes."""
    paths, encodes, use, found = [p.path for p in photos()], [], [], Findings()
    for limit in (600_000, 250_000, 90_000, 30_000):
        run = Run(t.folder, paths, "--images", f"web max-bytes={limit} metadata=none")
        for path in paths:
            o = run.one(path)
            found.need(o.bytes <= limit, path, f"{o.bytes} bytes, limit {limit}: {o.recipe} {o.note}")
            found.need(o.encodes <= 8, path, f"limit {limit}: {o.recipe}")
            if o.encodes > 1:
                encodes.append(o.encodes)
                use.append(o.bytes / limit)
    print(f"# {len(encodes)} searches: encodes {sorted(encodes)}, median use of the limit {statistics.median(use):.2f}, least {min(use):.2f}")
    assert statistics.median(encodes) <= 5, encodes
    assert statistics.median(use) >= 0.85 and min(use) >= 0.5, sorted(use)
    found.end(len(paths) * 4)


def test_what_never_fits_says_so(t):
    p = photos()[0]
    o = Run(t.folder, [p.path], "--images", "web max-bytes=1024 min-quality=80").one(p.path)
    assert o.bytes <= 1024 or o.note, o.about
    assert o.encodes <= 8, o.recipe


def test_least_quality(t):
    """The higher it is, the fewer pixels."""
    p, sizes = photos()[0], []
    for least in (30, 60, 79):
        o = Run(t.folder, [p.path], "--images", f"web max-bytes=100000 min-quality={least}").one(p.path)
        sizes.append(max(Picture(o.path).size))
        assert least <= o.quality <= 80, o.about
    assert sizes == sorted(sizes, reverse=True) and sizes[-1] < sizes[0], sizes


def test_quality_and_effort(t):
    p = photos()[-1]
    for kind in ("jpeg", "webp", "avif"):
        sizes, scores = [], []
        for quality in (40, 60, 80, 95):
            o = Run(t.folder, [p.path], "--images", f"web format={kind} quality={quality} min-quality=30 max-edge=640 effort=0 min-savings=0 max-bytes=none").one(p.path)
            made = Picture(o.path)
            sizes.append(o.bytes)
            scores.append(pictures.ssim(made.look(), pictures.scaled(p.look(), made.size)))
        assert sizes == sorted(sizes) and sizes[0] < sizes[-1] * 0.6, (kind, sizes)
        assert scores == sorted(scores), (kind, scores)
    by_effort = [Run(t.folder, [p.path], "--images", f"web format=webp effort={e} max-edge=1000").one(p.path).bytes for e in (0, 4)]
    assert by_effort[1] < by_effort[0], by_effort


def test_one_scale_of_quality(t):
    """80 is the same look in each format: likeness to the source within a narrow band."""
    for quality, band in ((80, 0.02), (60, 0.03)):
        scores = {}
        for kind in ("jpeg", "webp", "avif"):
            run = Run(t.folder, [p.path for p in photos()[:4]], "--images",
                      f"web format={kind} quality={quality} min-quality=30 max-edge=1000 effort=2 min-savings=0 max-bytes=none metadata=none")
            made = [(source(path), Picture(os_[0].path)) for path, os_ in run.objects.items()]
            scores[kind] = statistics.mean(pictures.ssim(m.look(), pictures.scaled(p.look(), m.size)) for p, m in made)
        print(f"# quality {quality}: {', '.join(f'{k} {s:.4f}' for k, s in scores.items())}")
        assert max(scores.values()) - min(scores.values()) <= band, (quality, scores)


def test_least_savings(t):
    p = photos()[-1]
    assert not Run(t.folder, [p.path], "--images", "web min-savings=90 max-edge=none").one(p.path).encoded
    assert Run(t.folder, [p.path], "--images", "web min-savings=0 quality=50").one(p.path).encoded


def test_background(t):
    """Where the format has no alpha, transparent pixels show what is behind."""
    found, n = Findings(), 0
    text = "web format=jpeg background=ff0040 max-edge=400 min-savings=0 metadata=none"
    for p, event, objects in each(text, lambda p: p.fine and p.converted and p.alpha and not p.animated):
        for o in objects:
            if o.encoded:
                n += 1
                made = Picture(o.path)
                mean, most = pictures.colour_error(made.look(), pictures.scaled(p.look((255, 0, 64)), made.size))
                found.need(mean < 4, p.path, f"{o.recipe}: colours are off by {mean:.1f}, at most {most:.1f}")
    found.end(n)


def vectors():
    return [f for f in files() if os.path.splitext(f)[1] in (".svg", ".pdf") and b"<!ENTITY" not in open(f, "rb").read()]


def test_vectors(t):
    """SVG and PDF stay as they are unless asked; then they become pixels within the limits, and fetch nothing."""
    run = everything("web")
    assert vectors() and not [o for f in vectors() for o in run.objects.get(f, []) if o.recipe]
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen()
        secret = lib.write(t.path("secret.png"), open(picture_of("png/1bit.png")[0], "rb").read())
        outside = lib.write(t.path("outside.svg"), (f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="200" height="100">'
                                                    f'<image xlink:href="file://{secret}" width="100" height="100"/><image x="100" width="100" height="100" '
                                                    f'xlink:href="http://127.0.0.1:{door.getsockname()[1]}/x.png"/></svg>').encode())
        run = Run(t.folder, [*vectors(), outside], "--images", "web vectors=yes max-edge=500 min-savings=0", status=(0, 1))
        door.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            door.accept()
            raise AssertionError("a picture opened a connection")
    made = [o for objects in run.objects.values() for o in objects if o.encoded]
    for o in made:
        p = Picture(o.path)
        assert p.fine and max(p.size) <= 500, (o.source, p.size)
        assert o.source != outside or p.look().convert("L").getextrema()[0] > 250, "a file beside the SVG is in the picture"
    assert len(made) >= 2, [(f, e.get("failed"), e.get("note")) for f, e in run.events.items()]


def test_renditions(t):
    """One object each, with a name, a size and a key of its own; the first name of one recipe has no mark."""
    p = photos(4_000_000)[-1]
    run = Run(t.folder, [p.path], "--renditions", "web,thumb,small")
    objects = run.objects[p.path]
    assert [o.name for o in objects] == ["web", "thumb", "small"], run.events
    stem = os.path.splitext(os.path.basename(p.path))[0]
    for o, edge in zip(objects, (1920, 320, 1280)):
        assert size_is(Picture(o.path).size, p.fitted(edge)), (o.name, o.recipe)
        assert os.path.basename(o.out).startswith(f"{stem}@{o.name}."), o.out
    assert objects[1].bytes < objects[2].bytes < objects[0].bytes


def test_recipes_of_the_config(t):
    p = photos(4_000_000)[-1]
    home = lib.Hoist(t.path("home"))
    lib.write(f"{home.folder}/config/hoist/config.ini", b"[images shop]\nlike = small\nmax-edge = 640\nmax-bytes = 60k\nformat = jpeg\n")
    r = home.run("images", "--json", "--out", t.path("out"), "--images", "shop", p.path)
    assert r.returncode == 0, r.err
    about = lib.json.loads(r.out.splitlines()[0])["objects"][0]
    made = Picture(about["out"])
    assert made.format == "JPEG" and size_is(made.size, p.fitted(640)) and about["bytes"] <= 60_000, about
    for wrong in (b"[images shop]\nmax-edge = 3\n", b"[images shop]\ncolour = red\n"):
        lib.write(f"{home.folder}/config/hoist/config.ini", wrong)
        r = home.run("images", "--images", "shop", p.path)
        assert r.returncode == 2 and "line 2" in r.err, (r.returncode, r.err)


def test_without_out_nothing_is_written(t):
    path = shutil.copy(photos()[-1].path, t.path("a.jpg"))
    before = lib.tree(t.folder)
    home = lib.Hoist(os.path.join(images.SHARED, "dry"))
    r = home.run("images", "--json", path)
    assert r.returncode == 0 and lib.json.loads(r.out.splitlines()[0])["objects"][0]["recipe"], (r.out, r.err)
    assert lib.tree(t.folder) == before


def test_types(t):
    """Kinds by content, not by name."""
    folder = t.path("mixed")
    os.makedirs(folder)
    for name, path in (("a.jpg", picture_of("png/palette.png")[0]), ("b.png", picture_of("jpeg/base-800.jpg")[0])):
        shutil.copy(path, f"{folder}/{name}")
    run = Run(t.folder, [folder], "--types", "image/png")
    assert [os.path.basename(f) for f in run.events] == ["a.jpg"], run.events


def test_originals_are_untouched(t):
    """After all of the above."""
    r = subprocess.run(["git", "-C", lib.ROOT, "status", "--porcelain", "tests/images"], capture_output=True, check=False)
    assert r.returncode != 0 or not r.stdout, r.stdout.decode()


if __name__ == "__main__":
    images.main()
