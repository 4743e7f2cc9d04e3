import { mkdirSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { expect, test } from 'vitest'

// The test says that it runs, by a file that names its worker, and then never finishes by itself.
test('waits for an answer that never comes', async () => {
  const ready = join(process.cwd(), '..', '..', '.ready')
  const file = basename(import.meta.url, '.test.ts')
  mkdirSync(ready, { recursive: true })
  writeFileSync(join(ready, `${basename(process.cwd())}-${file}`), `${process.pid}\n`)
  await new Promise(() => setInterval(() => {}, 60_000))
  expect(true).toBe(false)
}, 0)
