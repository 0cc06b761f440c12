// The package as it lies on the disk: its list of files, its version, what its modules import.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { VERSION } from '../client.js';

test('the package names every file that it needs, and its version is that of the server', () => {
  const folder = new URL('../', import.meta.url);
  const { version, files } = JSON.parse(readFileSync(new URL('package.json', folder), 'utf8'));
  assert.equal(version, VERSION);
  assert.match(readFileSync(new URL('../../../Cargo.toml', import.meta.url), 'utf8'), new RegExp(`^version = "${VERSION}"$`, 'm'));
  assert.ok(files.includes('client.js') && files.includes('client/'));
  const modules = readdirSync(new URL('client/', folder)).map((name) => `client/${name}`);
  for (const name of [...modules, 'client.js', 'react.js']) {
    const lines = readFileSync(new URL(name, folder), 'utf8').split('\n');
    assert.ok(lines.length <= 400, `${name} has ${lines.length} lines`);
    // Servers embed the modules: whatever they import is one of them, or React.
    const imported = lines.join('\n').matchAll(/^(?:import|export) [^;]*? from '([^']+)'/gms);
    for (const [, from] of imported) assert.ok(from === 'react' || modules.includes(`client/${from.split('/').at(-1)}`), `${name} imports ${from}`);
  }
});
