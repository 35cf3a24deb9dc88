"""Point clouds as NumPy arrays: the interface of ROS 2's sensor_msgs_py."""
