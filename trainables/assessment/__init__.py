"""Assessment: says how robust a trained network is, and whether that number can be trusted.

- `arguments`: takes what people give in the forms that they have it in
- `model_check`: checks that images and labels fit a network, and that it can be attacked
- `probes`: measures what a sound network and a working attack must show, beside the ensemble
- `checks`: says in words what is wrong with a network's numbers
- `evaluate_model`: attacks a network by the ensemble, and runs the checks
- `deployed`: attacks the file that a quantized network is deployed as
- `attack_record`: writes and reads what an evaluation found, image by image, in a few kilobytes, without torch
- `recording`: makes the record of an evaluation
"""
