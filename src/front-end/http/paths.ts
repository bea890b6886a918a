/** The paths of the server and the methods that each takes, from the routes that were added. */
import type { FastifyInstance } from 'fastify';

/** A path as people write it, `/db/:acc/kv/:id`, what it matches, and the methods that it takes. */
export interface Path {
  readonly pattern: string;
  readonly matches: RegExp;
  readonly methods: readonly string[];
}

/** Filled as routes are added. */
export function pathsOf(app: FastifyInstance): readonly Path[] {
  const paths: (Path & { readonly methods: string[] })[] = [];
  app.addHook('onRoute', ({ method, url }) => {
    const pattern = url.replace('*', ':id');
    let path = paths.find((known) => known.pattern === pattern);
    if (path === undefined) {
      const matches = new RegExp(`^${pattern.replace(':acc', '[^/]+').replace(':id', '.+')}$`);
      paths.push((path = { pattern, matches, methods: [] }));
    }
    path.methods.push(...[method].flat());
  });
  return paths;
}
