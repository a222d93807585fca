"""All metadata of the package; pyproject.toml holds the build system and the tools' settings."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'^__version__ = "(.+)"$', (HERE / "wsref/__init__.py").read_text("utf-8"), re.M)[1]

#: A placeholder until the project has a home.  README.md names it too (tests/test_readme.py compares).
PROJECT_URL = "https://example.org/wsref"


def long_description() -> str:
    """README.md, with links and images that lead somewhere when it is read outside of the repository."""
    readme = (HERE / "README.md").read_text("utf-8")
    readme = re.sub(r'\b(src|srcset)="(?![a-z]+:)([^"]+)"', rf'\1="{PROJECT_URL}/raw/main/\2"', readme)
    readme = re.sub(r"!\[([^\]]*)\]\((?![a-z]+:|#)([^)]+)\)", rf"![\1]({PROJECT_URL}/raw/main/\2)", readme)
    return re.sub(r"(?<!!)\[([^\]]*)\]\((?![a-z]+:|#)([^)]+)\)", rf"[\1]({PROJECT_URL}/blob/main/\2)", readme)


setup(
    name="wsref",
    version=VERSION,
    description="Learn the WebSocket protocol from a server you can read",
    long_description=long_description(),
    long_description_content_type="text/markdown",
    author="The wsref contributors",
    url=PROJECT_URL,
    project_urls={
        "Source": PROJECT_URL,
        "Documentation": f"{PROJECT_URL}/blob/main/docs/index.md",
        "Changelog": f"{PROJECT_URL}/blob/main/CHANGELOG.md",
        "Issues": f"{PROJECT_URL}/issues",
    },
    license="MIT",
    license_files=["LICENSE"],
    packages=find_packages(include=["wsref", "wsref.*"]),
    package_data={
        "wsref": ["py.typed"],
        "wsref.apps": ["page.html"],
        "wsref.check.clients": ["page.html"],
        "wsref.check.report": ["page.css"],
    },
    python_requires=">=3.11",
    install_requires=[],
    extras_require={
        "test": [
            "pytest>=8",
            "pytest-timeout>=2.3",
            "pytest-xdist>=3.5",
            # From 6.156 on it has a part in Rust, and no wheel for the free-threaded build of 3.13.
            "hypothesis>=6.100; python_version != '3.13'",
            "hypothesis>=6.100,<6.156; python_version == '3.13'",
            "numpy>=1.26",
            "websockets>=13",
            "websocket-client>=1.8",
            "wsproto>=1.2",
            "selenium>=4.20",
            "redis>=5",
        ],
        "redis": ["redis>=5"],  # one chat on many servers
        "fast": ["numpy>=1.26"],
        "bench": [
            "websockets>=13",
            "simple-websocket>=1.0",
            "websocket-server>=0.6.4",
            "picows>=1.5",
            "numpy>=1.26",
            "matplotlib>=3.8",
        ],
        "coverage": ["coverage>=7.10"],
        "fuzz": ["atheris>=3"],  # coverage-guided; without it, tests/fuzz/run.py has a mutator of its own
        "mutants": ["cosmic-ray>=8.3"],
        "lint": ["ruff>=0.6", "mypy>=1.11"],
        "dev": ["wsref[test,coverage,docs,notebooks,fast,lint,bench]", "nox>=2024.10.9", "pre-commit>=4"],
        # Exact, also what lies below: with -W, one new warning of one new version would break the
        # build of an old checkout.  They are a set that was tried together, on Python 3.11.
        "docs": [
            "sphinx==9.0.4",
            "docutils==0.22.4",
            "furo==2025.12.19",
            "myst-nb==1.4.0",
            "myst-parser==5.2.0",
            "markdown-it-py==4.3.0",
            "mdit-py-plugins==0.7.0",
            "sphinx-argparse-cli==1.24.2",
            "sphinx-copybutton==0.5.2",
            "sphinxext-opengraph==0.13.0",
            "pygments==2.21.0",
            "nbclient==0.11.0",
            "ipykernel==7.4.0",
            "matplotlib==3.11.2",
            "psutil==7.2.2",
            "trustme==1.2.1",
        ],
        "notebooks": [
            "jupyterlab>=4.2",
            "ipykernel>=6.29",
            "nbclient>=0.11",
            "matplotlib>=3.8",
            "psutil>=5.9",
            "trustme>=1.1",
        ],
    },
    entry_points={"console_scripts": ["wsref = wsref.cli.main:main"]},
    keywords="websocket rfc6455 server tutorial reference",
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Developers",
        "Intended Audience :: Education",
        "Operating System :: MacOS",
        "Operating System :: Microsoft :: Windows",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Programming Language :: Python :: 3.14",
        "Programming Language :: Python :: 3.15",
        "Topic :: Internet :: WWW/HTTP :: HTTP Servers",
        "Typing :: Typed",
    ],
)
