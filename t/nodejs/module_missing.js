require('./driver.js');
