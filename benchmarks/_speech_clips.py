"""Clean speech: synthesised sentences, or the reader's own recordings."""

import ctypes
import functools
from pathlib import Path

import numpy as np

from robust import need

RATE = 16_000  # samples per second
SAMPLES = 51_200  # 3.2 s
LEVEL = 0.08  # root mean square of every clip
_QUIET = 0.02  # of the peak; what comes before is cut off

# Voice of eSpeak NG and what it says. None of them breathes: breath is random noise.
SPOKEN = (
    ("en-us", "The harbour was quiet when the last boats came home with their nets."),
    (
        "en-us+f1",
        "Nobody remembered who had planted the old pear tree behind the school.",
    ),
    (
        "en-us+Gene",
        "She counted the coins twice and put them back into the yellow tin box.",
    ),
    (
        "en-us+adam",
        "A narrow road leads from the water mill across the hill "
        "to the railway bridge.",
    ),
    (
        "en-us+Andy",
        "We waited until the rain had stopped and then walked along the river.",
    ),
    (
        "en-us+michael",
        "His grandfather repaired clocks and kept bees in the garden at home.",
    ),
    (
        "en-gb-scotland+m7",
        "Please leave the spare key under the third flat stone "
        "beside the kitchen door.",
    ),
    (
        "en-us+Annie",
        "The baker opens early on Fridays and sells warm bread to sailors.",
    ),
)


def clips(folder: str | Path | None = None) -> np.ndarray:
    """Clips of 3.2 s at 16 kHz and one level: `[P, 51200]`, in [-1, 1].

    Args:
      folder: of WAV files to use instead of synthetic speech; the first 3.2 s of
        each from where its sound begins, in the order of their names.

    Raises:
      ValueError: fewer than two clips, one too short, silent or not a WAV file; or
        the synthesiser is missing.
    """
    return np.stack(list(map(_trim, *zip(*_sources(folder), strict=True))))


def _sources(folder):
    """`(name, samples at 16 kHz)` pairs."""
    if folder is None:
        return list(zip((voice for voice, _ in SPOKEN), _speak(), strict=True))
    if not Path(folder).is_dir():
        raise ValueError(f"no folder {str(folder)!r}; name one of WAV files")
    paths = sorted(p for p in Path(folder).iterdir() if p.suffix.lower() == ".wav")
    if len(paths) < 2:
        raise ValueError(
            f"{folder} holds {len(paths)} .wav files; give at least two, of 3.2 s or "
            "more each, for the others are the noise of each"
        )
    return [(path, _read(path)) for path in paths]


def _trim(name, wave):
    """The part that is used, at the common level."""
    sound = np.flatnonzero(np.abs(wave) > _QUIET * np.abs(wave).max(initial=0))
    wave = wave[sound[0] :][:SAMPLES] if sound.size else wave[:0]
    if len(wave) < SAMPLES:
        raise ValueError(
            f"{name} has {len(wave) / RATE:.2f} s of sound; give clips of at least "
            f"{SAMPLES / RATE} s"
        )
    scaled = wave * LEVEL / np.sqrt(np.mean(wave**2))
    return np.clip(scaled, -1, 1).astype(np.float32)


def _read(path):
    from scipy.io import wavfile

    try:
        rate, wave = wavfile.read(path)
    except Exception as error:  # what is damaged fails in many ways
        why = str(error) or type(error).__name__
        raise ValueError(f"{path}: {why}; give PCM or float WAV files") from error
    if wave.dtype == np.uint8:  # 8-bit sound is silent at 128
        wave = (wave.astype(float) - 128) / 128
    elif wave.dtype.kind == "i":
        wave = wave.astype(float) / np.iinfo(wave.dtype).max
    return _resample(wave if wave.ndim == 1 else wave.mean(axis=1), rate)


def _resample(wave, rate):
    from scipy.signal import resample_poly

    common = np.gcd(rate, RATE)
    return wave if rate == RATE else resample_poly(wave, RATE // common, rate // common)


@functools.cache
def _speak() -> tuple[np.ndarray, ...]:
    """Let eSpeak NG say its sentences, at 16 kHz; once, for it does not forget."""
    loader = need("espeakng_loader", extra="speech", task="speech")
    library = ctypes.CDLL(loader.get_library_path())
    retrieve = 1  # AUDIO_OUTPUT_RETRIEVAL: to the callback, not to a loudspeaker
    rate = library.espeak_Initialize(retrieve, 0, loader.get_data_path().encode(), 0)
    if rate <= 0:
        raise ValueError(
            f"eSpeak NG did not start (code {rate}); reinstall espeakng-loader, or "
            "give a folder of WAV files"
        )
    heard: list[np.ndarray] = []
    kind = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
    )

    def hear(wave, count, events):
        if wave and count > 0:
            heard.append(np.ctypeslib.as_array(wave, (count,)).copy())
        return 0

    callback = kind(hear)  # must outlive the calls below
    library.espeak_SetSynthCallback(callback)
    spoken = []
    for voice, sentence in SPOKEN:
        heard.clear()
        text = sentence.encode() + b"\0"
        if library.espeak_SetVoiceByName(voice.encode()):
            raise ValueError(
                f"this eSpeak NG has no voice {voice!r}; use 1.52 or newer"
            )
        utf8 = 1
        library.espeak_Synth(text, len(text), 0, 1, 0, utf8, None, None)
        library.espeak_Synchronize()
        spoken.append(_resample(np.concatenate(heard) / 2**15, rate))
    library.espeak_Terminate()
    return tuple(spoken)
