/** The nouns of the API, in the order in which the document and its page have them. */
export const tags: Readonly<Record<string, string>> = {
  batch: 'Everything in one request, all or nothing.',
  lock: 'Durable locks with fencing tokens.',
  mutex: 'Locks in memory.',
  kv: 'Keys with values and versions.',
  watch: 'Waiting for changes.',
  counter: 'Integers to add to.',
  limit: 'Rate limits.',
  sequence: 'Numbers without gaps.',
  queue: 'Messages that are worked on once.',
  task: 'Something at a time, once or again and again.',
  script: 'Functions that run beside the data.',
  account: 'What an account has stored, and what it may store.',
  server: 'The server itself; no token is needed.',
  admin: 'What administrators look at.',
  backups: 'Backups, for the operator.',
};
