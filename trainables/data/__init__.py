"""Data: provides images and labels as arrays, split into train, validation and test.

- `config`: defines what a study may say of its data, without torch
- `sources`: reads each data set from its files or the user's function
- `image_folder`: reads a folder with a folder of images for each class
- `user_data`: turns what a user's function returns into arrays
- `checks`: checks pixels, labels and classes, and names the image or the class that is wrong
- `memory_mapping`: keeps arrays in memory-mapped files where they would fill half of the memory
- `splits`: splits a data set, and computes the statistics of its pixels
- `other_data`: loads the test images of another data set of the same classes
- `drawing`: draws some images of a split, evenly over the classes
"""
