const m = process.memoryUsage(); console.log(Object.keys(m), m.rss > 1e6, m.heapUsed > 1e5, process.memoryUsage.rss() > 1e6, require('v8').getHeapStatistics().total_heap_size > 1e6);
