"""Plays a bag into the node and shows it in RViz: ros2 launch clip2scene_ros demo.launch.py bag:=FOLDER."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare


def generate_launch_description() -> LaunchDescription:
    segment = PathJoinSubstitution([FindPackageShare("clip2scene_ros"), "launch", "segment.launch.py"])
    return LaunchDescription(
        [
            DeclareLaunchArgument("bag", description="folder of the bag"),
            DeclareLaunchArgument("rate", default_value="1.0", description="speed; 1 is as recorded"),
            DeclareLaunchArgument(
                "points", default_value="/lidar/points", description="topic of the clouds in the bag"
            ),
            DeclareLaunchArgument(
                "fixed_frame", default_value="odom", description="frame in which the world stands still"
            ),
            DeclareLaunchArgument("rviz", default_value="true", description="whether to open RViz"),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(segment),
                launch_arguments={
                    name: LaunchConfiguration(name) for name in ("points", "fixed_frame", "rviz")
                }.items(),
            ),
            ExecuteProcess(
                # The delay is the node's start: loading the network takes some seconds.
                cmd=[
                    *("ros2", "bag", "play", LaunchConfiguration("bag")),
                    *("--rate", LaunchConfiguration("rate"), "--delay", "10"),
                ],
                output="screen",
            ),
        ]
    )
