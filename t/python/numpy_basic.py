import numpy as np
print(np.arange(6).reshape(2, 3) @ np.ones((3, 2)), np.linalg.det(np.eye(3) * 2), np.__name__)
np.array([1, 2]) + np.array([1, 2, 3])
