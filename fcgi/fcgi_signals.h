/* fcgi_signals.h - the signals of a FastCGI server that ends in order at SIGTERM. */
#ifndef CELLBLOCK_FCGI_SIGNALS_H
#define CELLBLOCK_FCGI_SIGNALS_H

/*
 * Block SIGTERM in this thread and those that it starts: nothing that libfcgi does is interrupted.
 * Call this after FCGX_Init, which installs handlers that would abort requests. Returns a
 * descriptor that can be read after SIGTERM; it stays open. Dies if that fails.
 */
int fcgi_signals(void);

#endif
