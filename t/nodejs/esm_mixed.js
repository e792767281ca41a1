import fs from 'fs';
const os = require('os');
