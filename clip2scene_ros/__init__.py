"""The ROS 2 side: a node that labels LiDAR scans with one call of clip2scene_core."""
