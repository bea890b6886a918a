/**
 * `npm run build:deb` makes dist/dragonlock-server_VERSION_ARCH.deb: the package `dragonlock-server` with what it needs, its
 * units, a user, and /etc/dragonlock/config.yml, which an upgrade leaves as it was changed. Node itself is the machine's,
 * 22.19 or later; what has native parts is of the kind of this machine. It neither starts the server nor enables it.
 */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildServerPackage } from './server-package.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const home = 'usr/lib/dragonlock-server';

export interface DebOptions {
  /** An empty directory to work in; it is left there. */
  readonly stage: string;
  readonly out: string;
  /** Gets the packages that the server depends on; a test of the file's structure does without. */
  readonly install: boolean;
}

/** @returns the file that was made, in `out` */
export async function buildDeb({ stage, out, install }: DebOptions): Promise<string> {
  const server = path.join(stage, home);
  await buildServerPackage(server);
  const npmFlags = ['--omit=dev', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  if (install) execFileSync('npm', ['install', ...npmFlags], { cwd: server, stdio: 'inherit' });
  const { version } = JSON.parse(fs.readFileSync(path.join(server, 'package.json'), 'utf8')) as { version: string };
  fs.mkdirSync(path.join(stage, 'usr/bin'));
  fs.symlinkSync('../lib/dragonlock-server/dragonlock-server.js', path.join(stage, 'usr/bin/dragonlock-server'));
  for (const unit of ['dragonlock.service', 'dragonlock.socket', 'dragonlock-drill.service', 'dragonlock-drill.timer'])
    write(stage, `usr/lib/systemd/system/${unit}`, unitOf(unit));
  write(stage, 'usr/lib/sysusers.d/dragonlock.conf', 'u dragonlock - "Dragon Lock" /var/lib/dragonlock -\n');
  write(stage, 'etc/dragonlock/config.yml', fs.readFileSync(path.join(root, 'config.yml'), 'utf8'));
  write(stage, 'DEBIAN/conffiles', '/etc/dragonlock/config.yml\n');
  const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
  write(stage, 'DEBIAN/control', controlOf(version, architecture, sizeOf(stage)));
  for (const [name, script] of Object.entries(scripts)) write(stage, `DEBIAN/${name}`, script, 0o755);
  fs.mkdirSync(out, { recursive: true });
  const file = path.join(out, `dragonlock-server_${version}_${architecture}.deb`);
  // Of another umask, other modes would be in the package.
  execFileSync('chmod', ['-R', 'u=rwX,go=rX', stage]);
  execFileSync('dpkg-deb', ['--build', '--root-owner-group', install ? '-Zxz' : '-Znone', stage, file]);
  return file;
}

/** Those in deploy/ are for npm's global folder, and one for a checkout. */
function unitOf(name: string): string {
  return fs
    .readFileSync(path.join(root, 'deploy', name), 'utf8')
    .replace('/usr/bin/env dragonlock-server', '/usr/bin/dragonlock-server')
    .replace(/^WorkingDirectory=\/opt\/dragonlock$/m, 'WorkingDirectory=/var/lib/dragonlock')
    .replace('/opt/dragonlock/node_modules/.bin/node src/cli/main.ts', '/usr/bin/dragonlock-server');
}

function controlOf(version: string, architecture: string, kibibytes: number): string {
  return `Package: dragonlock-server
Version: ${version}
Architecture: ${architecture}
Maintainer: The Dragon Lock authors <dragonlock@localhost>
Installed-Size: ${kibibytes}
Depends: nodejs (>= 22.19), libc6, libstdc++6, systemd (>= 252)
Section: net
Priority: optional
Description: coordination server: durable locks, keys with watches, queues over HTTP
 One server that lets many apps coordinate: locks with fencing tokens, key-value with
 watches, counters, sequences, rate limits, queues and tasks, for many tenants.
 .
 systemctl enable --now dragonlock starts it; settings are in /etc/dragonlock/config.yml.
`;
}

/** Data and settings are never removed: a purge removes the settings, as dpkg does with all conffiles. */
const scripts: Readonly<Record<string, string>> = {
  postinst: `#!/bin/sh
set -e
systemd-sysusers dragonlock.conf
# It may hold tokens.
chgrp dragonlock /etc/dragonlock/config.yml
chmod 640 /etc/dragonlock/config.yml
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  if [ -n "$2" ]; then systemctl try-restart dragonlock.service; fi
fi
`,
  prerm: `#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
  systemctl --no-reload disable --now dragonlock.service dragonlock.socket dragonlock-drill.timer || true
fi
`,
  postrm: `#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
`,
};

function write(stage: string, name: string, text: string, mode = 0o644): void {
  const file = path.join(stage, name);
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, text, { mode });
}

function sizeOf(directory: string): number {
  const bytes = fs
    .readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => fs.statSync(path.join(entry.parentPath, entry.name)).size);
  return Math.ceil(bytes.reduce((sum, one) => sum + one, 0) / 1024);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const stage = path.join(root, 'dist/deb');
  fs.rmSync(stage, { recursive: true, force: true });
  process.stdout.write(`${await buildDeb({ stage, out: path.join(root, 'dist'), install: true })}\n`);
}
