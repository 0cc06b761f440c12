#!/usr/bin/env python3
import json,sys,os
sys.dont_write_bytecode=True
import scaling_measure
def merge(path, piece, said, points):
    old = json.load(open(path)) if os.path.exists(path) else {"pieces":{}}
    old["machine"]=said
    old["pieces"][piece]=points
    with open(path,"w") as f:
        f.write('{\n"machine": '+json.dumps(old["machine"])+',\n"pieces": {\n')
        f.write(",\n".join(f'"{k}": [\n'+",\n".join(json.dumps(p) for p in v)+"\n]" for k,v in old["pieces"].items()))
        f.write("\n}}\n")
_,_,program,piece,path=sys.argv
import signal
signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
said=None; points=[]
for x in scaling_measure.measure(program,piece):
    if said is None: said=x
    else:
        points.append(x); merge(path,piece,said,points)
