"""Labels the clouds of a LiDAR: ros2 launch clip2scene_ros segment.launch.py points:=/velodyne rviz:=true."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare


def generate_launch_description() -> LaunchDescription:
    share = FindPackageShare("clip2scene_ros")
    fixed_frame = LaunchConfiguration("fixed_frame")
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "points", default_value="/lidar/points", description="topic of the LiDAR's clouds"
            ),
            DeclareLaunchArgument(
                "fixed_frame",
                default_value="odom",
                description="frame in which the world stands still, in RViz too; replaces that of params",
            ),
            DeclareLaunchArgument(
                "params",
                default_value=PathJoinSubstitution([share, "config", "segment.yaml"]),
                description="file of the node's parameters",
            ),
            DeclareLaunchArgument("rviz", default_value="false", description="whether to open RViz"),
            Node(
                package="clip2scene_ros",
                executable="segment",
                name="segment",
                output="screen",
                parameters=[
                    LaunchConfiguration("params"),
                    {"fixed_frame": ParameterValue(fixed_frame, value_type=str)},
                ],
                remappings=[("~/input/points", LaunchConfiguration("points"))],
            ),
            Node(
                package="rviz2",
                executable="rviz2",
                arguments=[
                    "--display-config",
                    PathJoinSubstitution([share, "rviz", "segment.rviz"]),
                    "--fixed-frame",
                    fixed_frame,
                ],
                condition=IfCondition(LaunchConfiguration("rviz")),
            ),
        ]
    )
