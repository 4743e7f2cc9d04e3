import { createServer } from 'node:http'

const port: number = Number(process.env.STACK_AGENT_PORT)
createServer((_, answer) => answer.end('agent\n')).listen(port, '127.0.0.1')
