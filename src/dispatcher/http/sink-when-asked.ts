/** Loads the sink with its first request: most servers have no tasks that send requests, and undici is large. */
import type { HttpSink } from './http-sink.ts';
import type { UndiciSinkOptions } from './undici-sink.ts';

export function sinkWhenAsked(options: UndiciSinkOptions): HttpSink {
  let loading: Promise<HttpSink> | undefined;
  let isClosed = false;
  const load = async (): Promise<HttpSink> => {
    const { UndiciSink } = await import('./undici-sink.ts');
    const sink = new UndiciSink(options);
    if (isClosed) sink.close();
    return sink;
  };
  return {
    send(request, done) {
      loading ??= load();
      void loading.then((sink) => sink.send(request, done));
    },
    close() {
      isClosed = true;
      void loading?.then((sink) => sink.close());
    },
  };
}
