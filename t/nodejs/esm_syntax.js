import fs from 'fs';
let x = ;
