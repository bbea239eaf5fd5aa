"""Every sentence that a reader may be told about a film: what, why, what to do."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

# fmt: off
SENTENCES = {
    # The file cannot be read.
    "empty": "The file is empty: export or download the image again.",
    "not_an_image": "This is not a readable image, whatever its name: use PNG, JPEG, BMP, TIFF, WebP or DICOM.",
    "truncated": "The image is damaged or incomplete: export or download it again.",
    "too_small": "The image has {rows} × {columns} pixels, too few to show the lungs: at least {minimum} × {minimum} are needed.",
    "too_large": "The image has {rows} × {columns} pixels, more than {maximum} megapixels: reduce its size and try again.",
    "colour": "This is a colour image, and radiographs have no colour: use the original greyscale image.",
    "pixel_range": "The image contains negative or undefined pixel values: export it again as 8-bit or 16-bit greyscale.",
    "dicom_damaged": "The DICOM file is damaged or uses a compression that cannot be decoded: export it again, uncompressed if possible.",
    "dicom_no_pixels": "The DICOM file contains no image: choose the image file, not a report or a directory.",
    "multi_frame": "The DICOM file contains {frames} frames: choose a single radiograph.",
    "photometric": "The DICOM file's photometric interpretation is {photometric}: only greyscale images, also those saved as RGB or YBR, can be read. Export it again as MONOCHROME2.",
    "picture_kind": "This kind of image cannot be read ({kind}): save it again as an 8-bit or 16-bit greyscale PNG or TIFF.",
    "tiff_reduced": "The TIFF starts with a reduced copy and the full image cannot be read: save it again as a plain TIFF or PNG.",
    "stored_bits": "The DICOM file contradicts itself about its bit depth ({stored} stored of {allocated}, the last being {high}): export it again from the PACS.",
    "modality": "The DICOM file's modality is {modality}, not a radiograph ({known}): choose a chest radiograph.",
    "unreadable_path": "The file cannot be opened ({reason}): check its name and your permission to read it.",
    "no_file": "This is not an ordinary file but a folder, a pipe or a device: name the file itself.",
    "not_written": "The output of this image could not be written ({reason}): check the folder, its free space and your permission to write there.",
    # The file is read; a remark on how.
    "pages": "The file has {count} pages: only the first was read.",
    "oriented": "The image is stored mirrored or turned (patient orientation {orientation}): it is displayed in the standard way, with the patient's right side on the left.",
    "for_processing": "The image is raw detector data (FOR PROCESSING): it is displayed by a simple rule, not with the manufacturer's processing.",
    # A ZIP as a whole, and a file in it.
    "archive_damaged": "The ZIP archive is damaged or incomplete: create or download it again.",
    "archive_empty": "The ZIP archive contains no files: add the images themselves and drop it again.",
    "archive_files": "The ZIP archive contains {count} files, more than {maximum}: split it into several archives.",
    "archive_records": "The ZIP archive has more than {maximum} entries: include only the images.",
    "archive_large": "The ZIP archive would unpack to {size} MB, more than {maximum} MB: split it into several archives.",
    "entry_large": "The file would unpack to {size} MB, more than {maximum} MB: reduce the image size and create the archive again.",
    "entry_ratio": "The file would unpack to more than {maximum} times its compressed size, which no radiograph does: if it is one, drop it without the archive.",
    "entry_name": "The file's path leads out of the archive: archive the image again under a simple name.",
    "entry_encrypted": "The file is password-protected: archive the image again without a password.",
    "entry_nested": "The file is an archive inside an archive, which is not opened: unpack it and drop its images.",
    "entry_method": "The file uses an unusual compression method: archive the image again as an ordinary ZIP (Deflate).",
    "entry_damaged": "The file is damaged inside the archive: create or download the archive again.",
    # The work list.
    "list_full": "A list holds at most {films} images and {megabytes} MB. Left out: {count}. Read the rest in another list.",
    "film_failed": "Reading this image failed for an unexpected reason: try it again on its own, and report it if it fails again.",
    "no_model": "The model cannot be loaded, so no image was read: ask the server administrator to check the weights.",
    # Nobody can answer just now: the weights, or too many films at once.
    "weights_missing": "The weights file {file} is missing: the server administrator can restore it from the repository's folder weights/.",
    "weights_differ": "The weights file {file} is not the one that registry.json describes (its sha256 differs): the server administrator can restore it from the repository's folder weights/.",
    "record_damaged": "The file {file}, which holds measurements, is damaged: the server administrator can restore it from the repository's folder weights/, or delete it to go without.",
    "not_compiled": "There is no compiled model {file} that fits the weights: the server administrator can make it with 'python -m pipeline.release.publish onnx'.",
    "weights_registry": "The list of models, {file}, is missing or damaged: the server administrator can restore it from the repository's folder weights/.",
    "site_card": "The site card {file} is missing or was changed after it was made: restore it, or make it again with 'python -m pipeline evaluate --site'.",
    "model_unknown": "There is no model {model}: choose one of {known}.",
    "model_failed": "The model {model} cannot be loaded: the server administrator will find the reason in its log.",
    "queue_full": "Too many images are waiting ({count}): try again in a minute.",
    "queue_patience": "No answer within {seconds} s because many images are waiting: try again.",
    "worker_failed": "Reading this image was interrupted twice: try another image, and report it if that one works.",
    "upload_large": "The file is larger than {megabytes} MB: reduce the image size and send it again.",
    "token_needed": "This server requires signing in: send a token of its OpenID provider as 'Authorization: Bearer TOKEN'.",
    "no_room": "The server's memory is full of other images: try again in a minute.",
    "film_memory": "Reading this image takes {megabytes} MB, and this server has {most} MB for images: reduce its size and try again.",
    "body_slow": "The image came too slowly or not to its end: send it again over a faster connection.",
    "page_failed": "This page failed for an unexpected reason: try again, and report it if it fails again.",
    "stopping": "The server is stopping: try again in a minute.",
    # The PACS.
    "pacs_unreachable": "The PACS cannot be reached: try again, and ask its administrator whether it is running.",
    "pacs_slow": "The PACS did not answer within {seconds} s: try again, or search for less.",
    "pacs_denied": "The PACS refused this server: the server administrator can check the user and password that it is given.",
    "pacs_missing": "The PACS no longer has what was asked for: search again.",
    "pacs_status": "The PACS answered with an error (HTTP status {status}): try again, and tell its administrator if it happens again.",
    "pacs_answer": "The PACS's answer cannot be understood: the server administrator can check whether PULMOSCOPE_PACS is the address of its DICOMweb service.",
    "pacs_cut": "The PACS's answer broke off: try again.",
    "pacs_large": "The PACS sent more than {megabytes} MB at once: search for less, or export the image at a smaller size.",
    "pacs_certificate": "The PACS's certificate cannot be verified: the server administrator can name its authority in PULMOSCOPE_PACS_CA.",
    "pacs_not_stored": "The PACS did not accept {count} of {total} results: its administrator will find the reason in its log. What it accepted stays there; sending again makes no second copy.",
    "pacs_secrets": "The secrets for the PACS cannot be read: the server administrator can check the file that PULMOSCOPE_PACS_SECRETS names.",
    # The film is read, but no DICOM objects can be made.
    "dicom_only": "This is not a DICOM file: DICOM objects can only be created from DICOM files.",
    "dicom_no_reference": "The DICOM file names no study, series or instance, so DICOM objects would have nothing to refer to. Export the image again from the PACS.",
    "dicom_not_exportable": "No DICOM objects can be created from this file: its header does not conform to the standard. Export the image again from the PACS.",
    "body_kind": "The image came as {kind}: send its bytes alone, as the body of the request, uncompressed (curl --data-binary @image.dcm).",
    "query_invalid": "The value of {name} in the query is not valid: see /v1/docs for what it may be.",
    "dicom_identifier": "The file's {name} breaks the DICOM standard (too long, or with letters that are not allowed): DICOM objects would lose it, so none are created. Correct it in the PACS and export the image again.",
    # The film is read, but no score is given.
    "blank": "The image is almost uniform: nothing can be seen on it. Check the exposure or the export.",
    "inverted": "The image is inverted: the lungs appear on its negative only. Invert it and try again.",
    "turned_left": "The image is on its side: its top points to the left. Rotate it and try again.",
    "turned_right": "The image is on its side: its top points to the right. Rotate it and try again.",
    "upside_down": "The image is upside down. Rotate it and try again.",
    "not_frontal": "The file gives the projection {projection}: only frontal radiographs (PA, AP) can be scored.",
    "not_chest": "The file gives the body part {body_part}: only chest radiographs can be scored.",
    "unlike_chest": "This does not look like a frontal chest radiograph: it may be a CT slice, another image, or a radiograph that was cropped or altered. Use the original radiograph.",
    "lung_area": "The lung mask covers {value} of the image, outside the usual range ({low} to {high}): this may not be a frontal chest radiograph, or the lungs may be cut off.",
    "lung_components": "Two lungs were not found: only {value} of the mask lies in its two largest parts. This may not be a frontal chest radiograph.",
    "lung_symmetry": "The two lungs differ too much in size (ratio {value}): the image may be rotated or cropped, or may not be a frontal chest radiograph.",
    "lung_position": "The lungs do not lie side by side: the image may be rotated by 90 degrees, or may not be a frontal chest radiograph.",
    "lung_border": "The lungs touch the image border along {value} of their outline: they may be cut off.",
    "lung_cut": "The lungs reach the upper or lower border of the image over {value} of their width: part of them is cut off. Use the whole image.",
    "lung_brightness": "What was taken for lungs is not darker than its surroundings: this may not be a frontal chest radiograph.",
    "lung_unusual": "Taken together, the size, shape, brightness and sharpness of the lungs found are unlike those of ordinary radiographs: this may not be a frontal chest radiograph.",
    "lung_uncertain": "The lung mask is too uncertain to give a score: the image may be of poor quality, or may not be a frontal chest radiograph.",
}
# fmt: on


@dataclass(frozen=True)
class Message:
    """A code that scripts depend on, and the values its sentence names."""

    code: str
    values: dict[str, Any] = field(default_factory=dict)

    def sentence(self, translate: Callable[[str], str] = str) -> str:
        """The sentence, in English or in what ``translate`` makes of its template."""
        return translate(SENTENCES[self.code]).format(**self.values)
