"""Projects, folders and datasets: what the server knows besides the data itself."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loader.emulator.model import Model, derived_id, parse_model
from loader.emulator.names import RESERVED_SCHEMAS
from loader.emulator.refusals import not_found

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "FOLDERS",
    "PROJECTS",
    "Catalogue",
    "Dataset",
    "Folder",
    "Project",
    "find_folder",
    "find_project",
]


@dataclass(frozen=True, slots=True)
class Project:
    """A project, as ``GET /api/projects`` shows it."""

    id: str
    name: str
    description: str


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that every project has.

    Attributes:
        id: Its object id.
        name: Its name.
        predefined: The number by which ``GET /api/folders/preDefined/{number}`` knows it.
    """

    id: str
    name: str
    predefined: int


PROJECTS = (
    # The two of the one-request document's sample answer, and the two whose ids its samples use.
    Project(
        "B19DEDCC11D4E0EFC000EB9495D0F44F",
        "MicroStrategy Tutorial",
        "MicroStrategy Tutorial project and application set designed to illustrate the platform's "
        "rich functionality. The theme is an Electronics, Books, Movies and Music store. "
        "Employees, Inventory, Finance, Product Sales and Suppliers are analyzed.",
    ),
    Project(
        "AF09B3E3458F78B4FBE4DEB68528BF7B",
        "Human Resources Analysis Module",
        "The Human Resources Analysis Module analyses workforce headcount, trends and profiles, "
        "employee attrition and recruitment, compensation and benefit costs and employee "
        "qualifications, performance and satisfaction.",
    ),
    Project("A773B25B4E505595455EF5B11D90049B", "test", "An empty project for tests."),
    Project("1DB3FCB845A6809E9DFFCA9D29C0CCE3", "Sales", "An empty project for sales data."),
)

MY_REPORTS = Folder("7CF3A1F64D6B2A9E7F1C0E8B5A4D3C21", "My Reports", 20)
FOLDERS = (MY_REPORTS, Folder("D3C7D461F69C4610AA6BAA5EF51F4125", "Shared Reports", 7))


def find_project(project_id: str) -> Project:
    """Returns a project.

    Raises:
        Refusal: There is none with that id.
    """
    for project in PROJECTS:
        if project.id == project_id.upper():
            return project
    raise not_found(f"There is no project {project_id!r}.")


def find_folder(folder_id: str) -> Folder:
    """Returns a folder; an empty id is the user's My Reports.

    Raises:
        Refusal: There is none with that id.
    """
    if not folder_id:
        return MY_REPORTS
    for folder in FOLDERS:
        if folder.id == folder_id.upper():
            return folder
    raise not_found(f"There is no folder {folder_id!r}.")


@dataclass(slots=True)
class Dataset:
    """A dataset (super cube) and how it came to be.

    Attributes:
        id: Its object id.
        project_id: The project it belongs to.
        folder: The folder it is in.
        owner: The name of the user who made it.
        schema: The SQL schema that holds its tables.
        definition: The body that defined it, without data; what is kept across restarts.
        model: The same, parsed.
        incremental: Made by ``POST /api/datasets/models``: it takes no PATCH.
        must_replace: It overwrote another one and was not published since: every table must be
            replaced.
        published: It was published at least once.
        created: When it was made (ISO 8601).
        modified: When it was published last (ISO 8601).
    """

    id: str
    project_id: str
    folder: Folder
    owner: str
    schema: str
    definition: dict[str, Any]
    model: Model
    incremental: bool
    must_replace: bool
    published: bool = False
    created: str = ""
    modified: str = ""

    def __post_init__(self) -> None:
        self.created = self.created or now_text()
        self.modified = self.modified or self.created

    def note_publish(self) -> None:
        """Records that a publish succeeded."""
        self.published = True
        self.must_replace = False
        self.modified = now_text()

    def document(self) -> dict[str, Any]:
        """Returns what must be kept to build the dataset again."""
        return {
            "id": self.id,
            "project_id": self.project_id,
            "folder_id": self.folder.id,
            "owner": self.owner,
            "schema": self.schema,
            "definition": self.definition,
            "table_ids": {table.name: table.id for table in self.model.tables},
            "incremental": self.incremental,
            "must_replace": self.must_replace,
            "published": self.published,
            "created": self.created,
            "modified": self.modified,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Dataset:
        """Builds a dataset from its document."""
        fields = dict(document)
        table_ids = fields.pop("table_ids")
        folder = find_folder(fields.pop("folder_id"))
        return cls(**fields, folder=folder, model=parse_model(fields["definition"], table_ids))


def now_text() -> str:
    """The current time as the API writes it."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


class Catalogue:
    """All datasets of the server."""

    def __init__(self) -> None:
        self._datasets: dict[str, Dataset] = {}

    def __iter__(self) -> Iterator[Dataset]:
        return iter(list(self._datasets.values()))

    def __contains__(self, dataset: Dataset) -> bool:
        return self._datasets.get(dataset.id) is dataset

    def add(self, dataset: Dataset) -> None:
        """Takes a dataset in."""
        self._datasets[dataset.id] = dataset

    def remove(self, dataset: Dataset) -> None:
        """Forgets a dataset."""
        self._datasets.pop(dataset.id, None)

    def find(self, project: Project, dataset_id: str) -> Dataset:
        """Returns a dataset of a project.

        Raises:
            Refusal: The project has none with that id.
        """
        dataset = self._datasets.get(dataset_id.upper())
        if dataset is None or dataset.project_id != project.id:
            raise not_found(f"There is no dataset {dataset_id!r} in project {project.name!r}.")
        return dataset

    def in_project(self, project: Project) -> list[Dataset]:
        """Returns a project's datasets by name."""
        found = [dataset for dataset in self if dataset.project_id == project.id]
        return sorted(found, key=lambda dataset: (dataset.model.name.casefold(), dataset.id))

    def named(self, project: Project, folder: Folder, name: str) -> Dataset | None:
        """Returns the dataset of that name in a folder; names ignore case."""
        for dataset in self.in_project(project):
            if dataset.folder == folder and dataset.model.name.casefold() == name.casefold():
                return dataset
        return None

    def new_schema(self, name: str) -> str:
        """Returns an SQL schema name for a dataset: its own name, numbered where that is taken."""
        taken = RESERVED_SCHEMAS | {dataset.schema.casefold() for dataset in self}
        number, schema = 1, name
        while schema.casefold() in taken:
            number += 1
            schema = f"{name}_{number}"
        return schema


def metric_ids(dataset: Dataset) -> dict[str, str]:
    """Returns the ids of a dataset's metrics by name, those that count rows included."""
    names = [metric.name for metric in dataset.model.metrics]
    names += [row_count_metric(table.name) for table in dataset.model.tables]
    return {name: derived_id(dataset.id, "metric", name) for name in names}


def row_count_metric(table: str) -> str:
    """The name of the metric that the server adds for each table."""
    return f"Row Count - {table}"
