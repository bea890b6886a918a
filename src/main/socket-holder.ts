import fs from 'node:fs';

/**
 * Names the process that holds a Unix socket of this machine, for a message.
 * @param name as /proc/net/unix has it; an abstract one begins with `@`
 * @returns undefined when this user may not see it
 */
export function socketHolder(name: string): string | undefined {
  const rows = read('/proc/net/unix')
    .split('\n')
    .map((line) => line.trim().split(/\s+/));
  const sockets = new Set(rows.filter((fields) => fields[7] === name).map((fields) => `socket:[${fields[6]}]`));
  for (const pid of entries('/proc').filter((entry) => /^\d+$/.test(entry))) {
    const files = entries(`/proc/${pid}/fd`).map((fd) => target(`/proc/${pid}/fd/${fd}`));
    if (files.some((file) => sockets.has(file))) return `process ${pid} (${read(`/proc/${pid}/comm`).trim()})`;
  }
  return undefined;
}

function read(file: string): string {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

function entries(directory: string): string[] {
  try {
    return fs.readdirSync(directory);
  } catch {
    return [];
  }
}

function target(link: string): string {
  try {
    return fs.readlinkSync(link);
  } catch {
    return '';
  }
}
