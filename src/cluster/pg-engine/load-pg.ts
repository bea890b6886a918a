/** The PostgreSQL client is an optional dependency, and is loaded only here: only a cluster needs it. */
export type Pg = typeof import('pg').default;

/** @throws Error if the client is not installed */
export async function loadPg(): Promise<Pg> {
  try {
    return (await import('pg')).default;
  } catch (error) {
    throw new Error('The package pg is not installed, which a cluster needs: npm install pg', { cause: error });
  }
}
