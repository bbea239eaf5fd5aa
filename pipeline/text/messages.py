"""Every sentence that a reader may be told about a film: what, why, what to do."""

from collections.abc import Callable
from dataclasses import dataclass, field

# fmt: off
SENTENCES = {
    # The file cannot be read.
    "empty": "The file is empty: export or download the film again.",
    "not_an_image": "This is not an image we can read, whatever its name says: use PNG, JPEG, BMP, TIFF, WebP or DICOM.",
    "truncated": "The image is damaged or incomplete: export or download the film again.",
    "too_small": "The film has {rows} x {columns} pixels, too few to see a lung: at least {minimum} x {minimum} are needed.",
    "too_large": "The film has {rows} x {columns} pixels, more than {maximum} megapixels: reduce its size and try again.",
    "colour": "This is a colour picture, and a radiograph has no colours: use the original grey film.",
    "pixel_range": "The film holds negative or undefined pixel values: export it again as 8-bit or 16-bit grey.",
    "dicom_damaged": "The DICOM file is damaged or compressed in a way we cannot decode: export it again, uncompressed if possible.",
    "dicom_no_pixels": "The DICOM file holds no picture: choose the file of the image, not a report or a directory.",
    "multi_frame": "The DICOM file holds {frames} frames: choose a single radiograph.",
    "photometric": "The DICOM file's photometric interpretation is {photometric}: only MONOCHROME1 and MONOCHROME2 are known to be grey films.",
    "modality": "The DICOM file's modality is {modality}, not a radiograph ({known}): choose a chest radiograph.",
    "unreadable_path": "The file cannot be opened ({reason}): check its name and your permission to read it.",
    # A ZIP as a whole, and a file in it.
    "archive_damaged": "The ZIP archive is damaged or incomplete: pack or download it again.",
    "archive_empty": "The ZIP archive holds no file: pack the films themselves and drop it again.",
    "archive_files": "The ZIP archive holds {count} files, more than {maximum}: split it into several archives.",
    "archive_records": "The ZIP archive has more than {maximum} entries: pack nothing but the films.",
    "archive_large": "The ZIP archive would unpack to {size} MB, more than {maximum} MB: split it into several archives.",
    "entry_large": "The file would unpack to {size} MB, more than {maximum} MB: reduce the film's size and pack it again.",
    "entry_ratio": "The file would unpack to more than {maximum} times its packed size, as no film does: if it is a film, drop it without the archive.",
    "entry_name": "The file's path leads out of the archive: pack the film again under a plain name.",
    "entry_encrypted": "The file is locked with a password: pack the film again without one.",
    "entry_nested": "The file is an archive inside an archive, which is not opened: unpack it and drop its films.",
    "entry_method": "The file is packed by an unusual method: pack the film again as an ordinary ZIP (Deflate).",
    "entry_damaged": "The file is damaged inside the archive: pack or download it again.",
    # The work list.
    "list_full": "A list holds at most {films} films and {megabytes} MB. Left out: {count}. Read the rest in another list.",
    "film_failed": "Reading this film failed for a reason we did not foresee: try it again by itself, and report it if it fails again.",
    "no_model": "The model cannot be loaded, so no film was read: ask who runs this server to check the weights.",
    # Nobody can answer just now: the weights, or too many films at once.
    "weights_missing": "The weights file {file} is missing: whoever runs this server restores it from the repository's folder weights/.",
    "weights_differ": "The weights file {file} is not the one that registry.json describes (its sha256 differs): whoever runs this server restores it from the repository's folder weights/.",
    "weights_registry": "The list of models, {file}, is missing or damaged: whoever runs this server restores it from the repository's folder weights/.",
    "model_unknown": "There is no model {model}: choose one of {known}.",
    "model_failed": "The model {model} cannot be loaded: whoever runs this server finds the reason in its log.",
    "queue_full": "Too many films are waiting ({count}): try again in a minute.",
    "queue_patience": "No answer came within {seconds} s, because many films are waiting: try again.",
    "worker_failed": "Reading this film was interrupted twice: try another film, and report it if that works.",
    "upload_large": "The file is larger than {megabytes} MB: reduce the film's size and send it again.",
    "token_needed": "This server asks for a sign-in: send a token of its OpenID provider as 'Authorization: Bearer TOKEN'.",
    "no_room": "The server's memory is full of other films: try again in a minute.",
    "film_memory": "Reading this film takes {megabytes} MB, and this server has {most} MB for films: reduce its size and try again.",
    "body_slow": "The film came too slowly or not to its end: send it again over a faster connection.",
    "page_failed": "This page failed for a reason we did not foresee: try again, and report it if it fails again.",
    "stopping": "The server is stopping: try again in a minute.",
    # The film is read, but no DICOM objects can be made.
    "dicom_only": "The film is no DICOM file: DICOM objects can be made of DICOM films only.",
    "dicom_no_reference": "The DICOM file names no study, series or instance: there is nothing that DICOM objects could refer to. Export the film again from the archive.",
    "dicom_not_exportable": "No DICOM objects can be made of this file: its header breaks the standard. Export the film again from the archive.",
    # The film is read, but no score is given.
    "blank": "The film is almost uniform: nothing can be seen on it. Check the exposure or the export.",
    "inverted": "The film is inverted: lungs show up on its negative only. Invert it and try again.",
    "turned_left": "The film lies on its side: its top points to the left. Turn it and try again.",
    "turned_right": "The film lies on its side: its top points to the right. Turn it and try again.",
    "upside_down": "The film stands on its head. Turn it and try again.",
    "not_frontal": "The file calls its projection {projection}: only frontal films (PA, AP) can be scored.",
    "not_chest": "The file calls its body part {body_part}: only chest films can be scored.",
    "lung_area": "The lung mask covers {value} of the film, outside the usual {low} to {high}: this may be no frontal chest film, or the lungs may be cut off.",
    "lung_components": "No two lungs were found: only {value} of the mask lies in its two largest parts. This may be no frontal chest film.",
    "lung_symmetry": "The two lungs differ too much in size (ratio {value}): the film may be rotated, cropped, or not a frontal chest film.",
    "lung_position": "The lungs do not lie side by side: the film may be turned by 90 degrees, or not a frontal chest film.",
    "lung_border": "The lungs touch the border of the film along {value} of their outline: they may be cut off.",
    "lung_cut": "The lungs run straight into the upper or lower border of the film over {value} of their width: part of them is cut off. Use the whole film.",
    "lung_brightness": "What was taken for lungs is not darker than what lies around it: this may be no frontal chest film.",
    "lung_unusual": "Size, shape, brightness and sharpness of the lungs found, taken together, are far from those of ordinary films: this may be no frontal chest film.",
    "lung_uncertain": "The lung mask is too uncertain to rest a score on: the film may be of poor quality, or not a frontal chest film.",
}
# fmt: on


@dataclass(frozen=True)
class Message:
    """A code that scripts depend on, and the values its sentence names."""

    code: str
    values: dict = field(default_factory=dict)

    def sentence(self, translate: Callable[[str], str] = str) -> str:
        """The sentence, in English or in what ``translate`` makes of its template."""
        return translate(SENTENCES[self.code]).format(**self.values)
