"""Is this a frontal chest radiograph that the models may score?"""
