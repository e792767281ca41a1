let fs = 1; let fs = 2;
