"""Build both Python packages, for pip and, as an ament_python package, for colcon.

All metadata is here and in package.xml: the setuptools of Ubuntu 22.04 does not read it from pyproject.toml.
"""

from glob import glob
from xml.etree import ElementTree

from setuptools import find_packages, setup

PACKAGE = "clip2scene_ros"
MANIFEST = ElementTree.parse("package.xml")

EXTRAS = {
    "ros": ["ros-jazzy-common-interfaces", "ros-jazzy-rclpy[fastrtps]"],
    "clip": ["huggingface_hub", "open_clip_torch", "timm", "torchvision", "transformers"],
    "train": ["lightning", "scikit-image", "tensorboard"],
    "motion": ["kiss-icp"],
    "nuscenes": ["nuscenes-devkit"],
    "viz": ["rerun-sdk"],
    "spconv": ["spconv; python_version < '3.14'"],
    "dev": [
        "colcon-common-extensions",
        "hypothesis",
        "kiss-icp",
        "lightning",
        "mcap",
        "mypy",
        "open_clip_torch",
        "opencv-python-headless",
        "pytest",
        "pytest-timeout",
        "rerun-sdk",
        "ruff",
        "scikit-image",
        "spconv; python_version < '3.14'",
        "tensorboard",
        "torchvision",
        "transformers",
        "types-PyYAML",
        # What nuscenes-devkit imports; it is installed without its own pins, which exclude NumPy 2.
        "cachetools",
        "pyquaternion",
        "scikit-learn",
        "tqdm",
    ],
}

setup(
    name=PACKAGE,
    version=MANIFEST.findtext("version"),
    description=MANIFEST.findtext("description"),
    license=MANIFEST.findtext("license"),
    maintainer=MANIFEST.findtext("maintainer"),
    maintainer_email=MANIFEST.find("maintainer").get("email"),
    packages=find_packages(include=["clip2scene_core*", "clip2scene_ros*"]),
    package_data={
        "clip2scene_core": [
            "label_sets/*.yaml",
            "checkpoints/*.safetensors",
            "clip/models/*/*.json",
            "clip/models/*/*.safetensors",
        ]
    },
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        (f"share/{PACKAGE}/launch", sorted(glob("launch/*.launch.py"))),
        (f"share/{PACKAGE}/config", sorted(glob("config/*.yaml"))),
        (f"share/{PACKAGE}/rviz", sorted(glob("rviz/*.rviz"))),
    ],
    python_requires=">=3.10",
    install_requires=[
        "apsw",
        "backports.zstd; python_version < '3.14'",
        "embreex",
        "lz4",
        "matplotlib",
        "numpy",
        "pillow",
        "pyyaml",
        "rich",
        "rosbags",
        "safetensors",
        "scipy",
        "setuptools",
        "torch",
        "typer",
    ],
    extras_require=EXTRAS,
    zip_safe=False,
    entry_points={
        "console_scripts": [
            "clip2scene = clip2scene_core.cli:main",
            "segment = clip2scene_ros.node:main",
            "train_from_bag = clip2scene_ros.train_from_bag:main",
        ],
    },
)
