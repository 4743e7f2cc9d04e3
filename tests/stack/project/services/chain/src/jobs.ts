import { mkdirSync, writeFileSync } from 'node:fs'

const everyMinute: number = 60_000

setInterval(() => {}, everyMinute)
mkdirSync('../../.ready', { recursive: true })
writeFileSync('../../.ready/jobs', `${process.pid}\n`)
